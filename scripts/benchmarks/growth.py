"""Group `growth`: what a named sweep costs when it is asked for again, or for more, and one run of it is taken out."""

from cases import PROCESSES, TRAIN, Case, Figure, Group
from sweep import post_sweep

BEFORE_PARTS = "e4751c3"  # the last commit that wrote the whole sweep into one file of each kind
NAME = "name=grown"
RUNS = [f"optimizer=adam,optimizer.lr=0.1,seed={seed}" for seed in range(6)]


def _sweep(num_seeds: int, run_dirs: str = "auto", *, after: str | None = None, commit: str | None = None) -> Case:
    return Case((*post_sweep(num_seeds, run_dirs).arguments, NAME), after=after, commit=commit)


GROWTH = Group(
    cases={
        "one run, post": Case((TRAIN, "experiment=post")),
        "10,000 runs": _sweep(100),
        "10,000 runs, before there were parts": _sweep(100, commit=BEFORE_PARTS),
        "10,000 runs asked for again": _sweep(100, after="10,000 runs"),
        "10,000 runs grown to 20,000": _sweep(200, after="10,000 runs"),
        "100,000 runs": _sweep(1000, "none"),
        "one of 100,000 runs extracted": Case(
            (str(PROCESSES / "extracting.py"), "outputs/sweeps/grown", *RUNS), self_timed=True, after="100,000 runs"
        ),
    },
    figures={
        "10,000 runs asked for again / one run": Figure(
            lambda t: t["10,000 runs asked for again"] / t["one run, post"], target=0.5
        ),
        "10,000 runs / before there were parts": Figure(
            lambda t: t["10,000 runs"] / t["10,000 runs, before there were parts"], target=1.05
        ),
        "10,000 runs grown to 20,000 / 10,000 runs": Figure(
            lambda t: t["10,000 runs grown to 20,000"] / t["10,000 runs"], target=1.2
        ),
        "one of 100,000 runs extracted, without imports": Figure(
            lambda t: t["one of 100,000 runs extracted"], "s", target=1.0
        ),
    },
)
