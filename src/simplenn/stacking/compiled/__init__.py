"""A stack's epoch as one compiled call: a faster mode with a tolerance, never the reference. `stack` is what the rest
of `stacking` knows of it. Must not know Hydra or files.
"""
