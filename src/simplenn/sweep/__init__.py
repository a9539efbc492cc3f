"""Many runs on disk: what each stack leaves (`parts`), the table of all runs (`results`), their directories
(`run_files`), what a command that is given again has to train (`growth`), how it ended (`record`). Must not know how
runs are trained. Nothing is imported here: a sweep that has nothing left to train is told so without torch.

May import: errors, metric, data, regressor, config, scripts, setup, rundir, groups, planning.
"""
