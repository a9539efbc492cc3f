"""Group `training`: training alone, 10,000 runs of Adam, compiled and warm, beside JAX `jit(vmap(scan))`.

And from how many run-steps (runs x steps) of a stack `trainer.compile=true` pays, by the whole of `train_stack`, when
the cache on disk has the code. Its processes time themselves: what they print counts. It needs the extra
`benchmark`, and a first round that isn't counted fills the cache.
"""

import math
from collections.abc import Mapping

from cases import PROCESSES, Case, Figure, Group


def _jax(work: str, repeat: int) -> Case:
    return Case((str(PROCESSES / "jax_training.py"), work, "--repeat", str(repeat)), self_timed=True)


def _training(work: str, way: str, *options: str) -> Case:
    return Case((str(PROCESSES / "stack_training.py"), work, way, *options), self_timed=True)


def _whole_stacks(work: str) -> dict[str, Case]:
    return {
        f"{work}, {way} stack{epochs}": _training(work, way, *options)
        for way in ("eager", "compiled")
        for epochs, options in (("", ()), (", 1 epoch", ("--epochs", "1")))
    }


def _pays_from(work: str, num_run_steps: int) -> Figure:
    """Compiling costs its time once, and saves some of each run-step's."""

    def of(t: Mapping[str, float]) -> float:
        cost = t[f"{work}, compiled stack, 1 epoch"] - t[f"{work}, eager stack, 1 epoch"]
        saved = cost + t[f"{work}, eager stack"] - t[f"{work}, compiled stack"]
        return cost / saved * num_run_steps / 1e6 if saved > 0 else math.inf

    return Figure(of, "M run-steps")


TRAINING = Group(
    cases={
        "post, JAX": _jax("post", 15),
        "post, compiled": _training("post", "bare", "--repeat", "15"),
        "sum, JAX": _jax("sum", 3),
        "sum, compiled": _training("sum", "bare", "--repeat", "3"),
        **_whole_stacks("post"),
        **_whole_stacks("sum"),
    },
    figures={
        "post, compiled / JAX": Figure(lambda t: t["post, compiled"] / t["post, JAX"], target=0.35),
        "sum, compiled / JAX": Figure(lambda t: t["sum, compiled"] / t["sum, JAX"], target=0.7),
        "post, compiled stack / eager": Figure(lambda t: t["post, compiled stack"] / t["post, eager stack"]),
        "sum, compiled stack / eager": Figure(lambda t: t["sum, compiled stack"] / t["sum, eager stack"]),
        "post, compile pays from": _pays_from("post", 10_000 * 100),
        "sum, compile pays from": _pays_from("sum", 10_000 * 40 * 8),
    },
    num_uncounted=1,
    packages=("jax", "optax"),
)
