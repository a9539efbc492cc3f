"""Which class trains a stack: `Stack`, or the compiled one where it can be had.

The only place outside of `compiled/` that knows what lies there. To take the compiled mode out, delete the folder and
`_compiled_stack` here: `trainer.compile=true` is then ignored, with a line that says so.
"""

from copy import deepcopy

from omegaconf import DictConfig

from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.stack import Stack

PAYS_FROM = 1_000_000  # run-steps of a group: fewer are trained before compiled code is tried, let alone made


def stack_class(cfg: DictConfig) -> type[Stack]:
    """The class whose objects train runs of this configuration. Raises `CannotCompile` with the reason.

    `trainer.compile=auto` is for a proof to decide; until then it is without the compiler.
    """
    return _compiled_stack(cfg) if must_compile(cfg) else Stack


def must_compile(cfg: DictConfig) -> bool:
    """Whether the configuration asks for the compiler even where a run's numbers are then only close to its own."""
    return cfg.trainer.get("compile") is True


def may_compile(cfg: DictConfig, num_run_steps: int) -> bool:
    """Whether the compiler is to be tried for so many steps of all runs together."""
    return must_compile(cfg) or (cfg.trainer.get("compile") == "auto" and num_run_steps >= PAYS_FROM)


def with_compiler(cfg: DictConfig, wanted: bool) -> DictConfig:
    """A copy of the configuration that asks for the compiler, or that doesn't."""
    one = deepcopy(cfg)
    one.trainer.compile = wanted
    return one


def _compiled_stack(cfg: DictConfig) -> type[Stack]:
    # Imported only here: it leans on torch's private modules, of which a new release may rename some. Stacks that
    # nobody wants compiled must not depend on them.
    try:
        from simplenn.stacking.compiled import CompiledStack, reason_not_compiled
    except ImportError as error:
        raise CannotCompile(f"the compiled mode can't be imported ({error})") from error
    reason = reason_not_compiled(cfg)
    if reason is not None:
        raise CannotCompile(reason)
    return CompiledStack
