"""A network that learns to add, and everything around it: run, sweep, review.

`network.SimpleNN`, `data.SumDataModule` and `regressor.Regressor` are what is trained; `training.train` trains
one run; `run.Run` is a run on disk; `schema.Config` is the schema. Nothing of them is imported here: torch and
lightning cost seconds, and a refused configuration must answer at once.
"""

import os

# What torch's libraries read from the environment as they are first used. A user's own setting counts.
# MKL: by default some makes of CPU round a product alone otherwise than the same product within a batch.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
# OpenMP: threads that spin while they wait make a stack's small operations many times slower beside other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
