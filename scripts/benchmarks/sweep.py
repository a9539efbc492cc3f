"""Group `sweep`: what sweeps cost beside one run of the same, and beside Hydra's basic launcher."""

from cases import TRAIN, Case, Figure, Group


def _over_one(case: str, target: float, work: str = "post") -> Figure:
    return Figure(lambda t: t[case] / t[f"one run, {work}"], target=target)


def post_sweep(num_seeds: int, run_dirs: str) -> Case:
    """SGD and Adam, 50 learning rates: 100 runs a seed."""
    return Case(
        (
            TRAIN,
            "-m",
            "experiment=post",
            "optimizer=sgd,adam",
            "optimizer.lr=tag(log, interval(1e-4, 1e-1))",
            "hydra.sweeper.points=50",
            f"seed=range({num_seeds})",
            f"run_dirs={run_dirs}",
        )
    )


def _sum_sweep(*words: str) -> Case:
    return Case((TRAIN, "-m", "optimizer=adam", *words))


SIX = ("optimizer=sgd,adam", "optimizer.lr=0.001,0.01,0.1")
SWEEP = Group(
    cases={
        "one run, sum": Case((TRAIN,)),
        "6 runs, sum": Case((TRAIN, "-m", *SIX)),
        "one run, post": Case((TRAIN, "experiment=post")),
        "1,000 runs, all directories": post_sweep(10, "all"),
        "10,000 runs": post_sweep(100, "auto"),
        "10,000 runs, all directories": post_sweep(100, "all"),
        "100,000 runs, no directories": post_sweep(1000, "none"),
        "10,000 seeds, sum": _sum_sweep("seed=range(10000)"),
        "10,000 learning rates, sum": _sum_sweep("optimizer.lr=interval(1e-4, 1e-1)", "hydra.sweeper.points=10000"),
        "100 seeds by 100 learning rates, sum": _sum_sweep(
            "seed=range(100)", "optimizer.lr=interval(1e-4, 1e-1)", "hydra.sweeper.points=100"
        ),
        "basic launcher, 20 jobs": Case((TRAIN, "-m", "hydra/launcher=basic", "experiment=post", "seed=range(20)")),
    },
    figures={
        "6 runs / one run, sum": Figure(lambda t: t["6 runs, sum"] / t["one run, sum"], target=1.3),
        "1,000 runs, all directories / one run": _over_one("1,000 runs, all directories", 1.6),
        "10,000 runs / one run": _over_one("10,000 runs", 1.5),
        "10,000 runs, all directories / one run": _over_one("10,000 runs, all directories", 3),
        "100,000 runs, no directories / one run": _over_one("100,000 runs, no directories", 6),
        "10,000 seeds, sum / one run": _over_one("10,000 seeds, sum", 1.3, "sum"),
        "10,000 learning rates, sum / one run": _over_one("10,000 learning rates, sum", 1.3, "sum"),
        "100 seeds by 100 learning rates, sum / one run": _over_one("100 seeds by 100 learning rates, sum", 1.3, "sum"),
        "a job of the basic launcher / one of 10,000 runs": Figure(
            lambda t: (t["basic launcher, 20 jobs"] / 20) / (t["10,000 runs"] / 10_000), target=600, at_least=True
        ),
    },
)
