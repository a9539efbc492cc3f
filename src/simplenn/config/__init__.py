"""A configuration held against its schema: types, rules, what may be named by `_target_`. Imports neither torch nor
Hydra until a class is asked for."""
