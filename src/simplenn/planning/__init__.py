"""The jobs of a sweep before they are trained: points of a grid, names, groups of runs that differ in numbers alone.
Knows Hydra; must not know any model. Imports no torch.

May import: config, groups.
"""
