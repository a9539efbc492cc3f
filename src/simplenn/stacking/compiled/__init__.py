"""A stack's epoch as one compiled call: a faster mode with a tolerance, never the reference. Only `stacking.engine`
imports from here. Must not know Hydra or files.
"""

from simplenn.stacking.compiled.stack import CompiledStack, reason_not_compiled

__all__ = ["CompiledStack", "reason_not_compiled"]
