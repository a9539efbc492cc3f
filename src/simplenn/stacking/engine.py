"""Which class trains a stack: `Stack`, or the compiled one where `trainer.compile` asks for it and it can be had.

The only place outside of `compiled/` that knows what lies there. To take the compiled mode out, delete the folder and
`_compiled_stack` here: `trainer.compile=true` is then ignored, with a line that says so.
"""

from copy import deepcopy

from omegaconf import DictConfig

from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.stack import Stack


def stack_class(cfg: DictConfig) -> type[Stack]:
    """The class whose objects train runs of this configuration. Raises `CannotCompile` with the reason."""
    return _compiled_stack(cfg) if wants_compiler(cfg) else Stack


def wants_compiler(cfg: DictConfig) -> bool:
    """Whether the configuration asks for the faster mode, whose numbers are only close to those of a single run."""
    return bool(cfg.trainer.get("compile"))


def with_compiler(cfg: DictConfig, wanted: bool) -> DictConfig:
    """A copy of the configuration that asks for the compiler, or that doesn't."""
    one = deepcopy(cfg)
    one.trainer.compile = wanted
    return one


def _compiled_stack(cfg: DictConfig) -> type[Stack]:
    # Imported only here: it takes torch's compiler in, a second or more, and leans on torch's private modules, of which
    # a new release may rename some. Stacks that nobody wants compiled must not depend on either.
    try:
        from simplenn.stacking.compiled import CompiledStack, reason_not_compiled
    except ImportError as error:
        raise CannotCompile(f"the compiled mode can't be imported ({error})") from error
    reason = reason_not_compiled(cfg)
    if reason is not None:
        raise CannotCompile(reason)
    return CompiledStack
