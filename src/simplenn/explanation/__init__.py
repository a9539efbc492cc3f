"""A trained network as a person would explain it: `explain` puts it into words, which `narrow` fits to a terminal,
`figure` draws it. What these show is measured by `units` (what each hidden unit does), `linear` (what each input
counts), `examples` (what it says for a few inputs), `surface` (the loss around its weights) and `standing` (where its
run stands among those of a sweep). Nothing is imported here: a path that isn't a run's is refused without torch.

May import: errors, metric, network, data, regressor, config, setup, rundir, sweep, report, evaluation.
"""
