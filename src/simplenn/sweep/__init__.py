"""Many runs on disk: the sweep's tables and arrays (`store`), its runs' directories (`run_files`), how it ended. Must
not know how runs are trained. Nothing is imported here: `results` answers without torch.

May import: errors, metric, data, regressor, config, setup, rundir, groups, planning.
"""
