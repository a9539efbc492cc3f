"""A network that learns to add, and everything around it: run, sweep, review.

`network.SimpleNN`, `data.SumDataModule` and `regressor.Regressor` are what is trained; `training.train` trains
one run; `run.Run` is a run on disk; `config.Config` is the schema. Nothing is imported here: torch and
lightning cost seconds, and a refused configuration must answer at once.
"""
