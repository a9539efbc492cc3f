"""Hydra's launchers and sweeper for sweeps of many runs; thin, as Hydra imports them at every start. Must not know any
model: what they hand groups of runs to is an attribute of the task function.

May import: groups, planning.
"""
