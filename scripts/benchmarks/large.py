"""Group `large`: a million runs, and stacks that train for minutes. A round takes a quarter of an hour or more."""

from cases import PROCESSES, TRAIN, Case, Figure, Group, cpu_of, memory_of
from sweep import post_sweep

NEVER, EVERY_MINUTE = "a long stack, no checkpoints", "a long stack, a checkpoint every minute"
MILLION = "1,000,000 runs, no directories"


def _long_stack(seconds_between: str) -> Case:
    """6,000 runs of 800 epochs, which are one stack of nearly the size that its memory allows; compiled it would be
    trained before its first checkpoint."""
    return Case(
        (
            str(PROCESSES / "long_stack.py"),
            seconds_between,
            "-m",
            "optimizer=adam",
            "optimizer.lr=tag(log, interval(1e-4, 1e-2))",
            "hydra.sweeper.points=100",
            "seed=range(60)",
            "trainer.max_epochs=800",
            "trainer.compile=false",
            "run_dirs=none",
        )
    )


LARGE = Group(
    cases={
        "one run, post": Case((TRAIN, "experiment=post")),
        MILLION: post_sweep(10_000, "none"),
        NEVER: _long_stack("inf"),
        EVERY_MINUTE: _long_stack("60"),
    },
    figures={
        f"{MILLION} / one run": Figure(lambda t: t[MILLION] / t["one run, post"], target=30),
        f"{MILLION}, memory": Figure(lambda t: t[memory_of(MILLION)], "GiB", target=3),
        "a checkpoint every minute / none": Figure(lambda t: t[EVERY_MINUTE] / t[NEVER], target=1.03),
        "a checkpoint every minute / none, CPU": Figure(
            lambda t: t[cpu_of(EVERY_MINUTE)] / t[cpu_of(NEVER)], target=1.03
        ),
    },
)
