"""A configuration held against its schema: types, rules, and what `_target_` may name. Must not know how a run is
trained. Imports neither torch nor Hydra before a class is asked for.

May import: errors.
"""
