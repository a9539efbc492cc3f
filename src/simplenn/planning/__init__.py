"""The jobs of a sweep before they are trained: grid points, names, groups that differ in numbers alone. Knows Hydra,
no model and no torch."""
