"""What a command costs in seconds, start to end: python scripts/benchmarks/benchmark.py start --repeat 5

Each case is a whole process, started afresh and timed from outside. The cases of a group take turns, round
after round, so that the noise of a shared machine hits all alike; what counts is a case's median over the
rounds. A figure is made from these medians and stands beside its target. Outputs go to temporary directories.

Group `start`: what a run, `--help`, `--cfg job` and a refusal cost, beside the imports that they cannot do
without and the tutorial's own script.

Group `sweep`: what sweeps cost beside one run of the same, and beside Hydra's basic launcher.

Group `proof`: what a group of runs costs to prove itself before it trains as stacks, beside one run of the same. Its
processes time themselves, after the checks that come before.

Group `training`: training alone, 10,000 runs of Adam, compiled and warm, beside JAX `jit(vmap(scan))` doing the same;
and from how many run-steps (runs x steps) of a stack `trainer.compile=true` pays, by the whole of `train_stack`, when
torch's cache on disk knows the graph. Its processes time themselves: what they print counts. It needs the extra
`benchmark`, and a first round that isn't counted fills the cache.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TRAIN = str(ROOT / "scripts" / "train.py")
CONF = str(ROOT / "conf")

TUTORIAL = """
import torch
import torch.nn as nn
import torch.optim as optim

class SimpleNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(3, 4)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer2(self.relu(self.layer1(x)))

model = SimpleNN()
criterion = nn.MSELoss()
optimizer = optim.SGD(model.parameters(), lr=0.01)
inputs = torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0]])
targets = torch.tensor([[6.0], [9.0], [12.0]])
for epoch in range(100):
    optimizer.zero_grad()
    loss = criterion(model(inputs), targets)
    loss.backward()
    optimizer.step()
    if (epoch + 1) % 10 == 0:
        print(f"Epoch [{epoch + 1}/100], Loss: {loss.item():.4f}")
"""

PROOF = """
import itertools, json, sys, time
from hydra import compose, initialize_config_dir
from simplenn.config.checking import check_config
from simplenn.stacking import prove
from simplenn.training.train import rehearse

with initialize_config_dir(sys.argv[1], version_base="1.3"):
    cfg = check_config(compose("train", sys.argv[2:]))
rehearse(cfg)
seeds, rates = zip(*itertools.product(range(10), (0.001, 0.01, 0.1)))
begun = time.perf_counter()
assert prove(cfg, {"seed": list(seeds), "optimizer.lr": list(rates)}).reason is None
print(json.dumps([time.perf_counter() - begun]))
"""


@dataclass(frozen=True)
class Case:
    """Arguments to Python, and the exit status that they must end with. Where a case is `self_timed`, the process's
    last line is a JSON list of seconds, whose median counts in place of the process's own."""

    arguments: tuple[str, ...]
    status: int = 0
    self_timed: bool = False


@dataclass(frozen=True)
class Figure:
    """A number made from the medians by case, in seconds or a ratio; `target` is the most it may be, or the least."""

    of: Callable[[Mapping[str, float]], float]
    unit: str = "x"
    target: float | None = None
    at_least: bool = False

    def reached(self, value: float) -> bool:
        assert self.target is not None
        return value >= self.target if self.at_least else value <= self.target


@dataclass(frozen=True)
class Group:
    cases: Mapping[str, Case]
    figures: Mapping[str, Figure]
    num_uncounted: int = 0  # rounds before those that count
    packages: tuple[str, ...] = ()  # of the extra `benchmark`


START = Group(
    cases={
        "import torch": Case(("-c", "import torch")),
        "import lightning": Case(("-c", "import lightning")),
        "import hydra": Case(("-c", "import hydra")),
        "tutorial": Case(("-c", TUTORIAL)),
        "run": Case((TRAIN, "experiment=post")),
        "--help": Case((TRAIN, "--help")),
        "--cfg job": Case((TRAIN, "--cfg", "job")),
        "refusal": Case((TRAIN, "optimizer.lr=abc"), status=2),
    },
    figures={
        "run - import lightning": Figure(lambda t: t["run"] - t["import lightning"], "s", 2.0),
        "run / tutorial": Figure(lambda t: t["run"] / t["tutorial"]),
        "run / import lightning": Figure(lambda t: t["run"] / t["import lightning"]),
        "--help / import hydra": Figure(lambda t: t["--help"] / t["import hydra"], target=2.0),
        "--cfg job / import hydra": Figure(lambda t: t["--cfg job"] / t["import hydra"], target=2.0),
        "refusal / import hydra": Figure(lambda t: t["refusal"] / t["import hydra"], target=2.0),
    },
)


def _over_one(case: str, target: float) -> Figure:
    return Figure(lambda t: t[case] / t["one run, post"], target=target)


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
        "basic launcher, 20 jobs": Case((TRAIN, "-m", "hydra/launcher=basic", "experiment=post", "seed=range(20)")),
    },
    figures={
        "6 runs / one run, sum": Figure(lambda t: t["6 runs, sum"] / t["one run, sum"], target=1.3),
        "1,000 runs, all directories / one run": _over_one("1,000 runs, all directories", 1.6),
        "10,000 runs / one run": _over_one("10,000 runs", 1.5),
        "10,000 runs, all directories / one run": _over_one("10,000 runs, all directories", 3),
        "100,000 runs, no directories / one run": _over_one("100,000 runs, no directories", 6),
        "a job of the basic launcher / one of 10,000 runs": Figure(
            lambda t: (t["basic launcher, 20 jobs"] / 20) / (t["10,000 runs"] / 10_000), target=600, at_least=True
        ),
    },
)


PROOFS = Group(
    cases={
        "one run, sum": Case((TRAIN,)),
        "proof, sum": Case(("-c", PROOF, CONF), self_timed=True),
        "one run, post": Case((TRAIN, "experiment=post")),
        "proof, post": Case(("-c", PROOF, CONF, "experiment=post"), self_timed=True),
    },
    figures={
        f"proof / one run, {work}": Figure(
            lambda t, work=work: 100 * t[f"proof, {work}"] / t[f"one run, {work}"], "%", 5.0
        )
        for work in ("sum", "post")
    },
)


def _jax(work: str, repeat: int) -> Case:
    return Case((str(HERE / "jax_training.py"), work, "--repeat", str(repeat)), self_timed=True)


def _training(work: str, way: str, *options: str) -> Case:
    return Case((str(HERE / "training.py"), work, way, *options), self_timed=True)


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
        "post, compiled": _training("post", "alone", "--repeat", "15", "--threads", "1"),
        "sum, JAX": _jax("sum", 3),
        "sum, compiled": _training("sum", "alone", "--repeat", "3", "--threads", "1", "--max-stack", "2000"),
        **_whole_stacks("post"),
        **_whole_stacks("sum"),
    },
    figures={
        "post, compiled / JAX": Figure(lambda t: t["post, compiled"] / t["post, JAX"], target=0.5),
        "sum, compiled / JAX": Figure(lambda t: t["sum, compiled"] / t["sum, JAX"], target=1.0),
        "post, compiled stack / eager": Figure(lambda t: t["post, compiled stack"] / t["post, eager stack"]),
        "sum, compiled stack / eager": Figure(lambda t: t["sum, compiled stack"] / t["sum, eager stack"]),
        "post, compile pays from": _pays_from("post", 10_000 * 100),
        "sum, compile pays from": _pays_from("sum", 10_000 * 40 * 8),
    },
    num_uncounted=1,
    packages=("jax", "optax"),
)

GROUPS = {"start": START, "sweep": SWEEP, "proof": PROOFS, "training": TRAINING}


def seconds(name: str, case: Case, directory: Path) -> float:
    """The wall time of one process, or what it tells. Ends the benchmark where it ends otherwise than it must."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, *case.arguments], cwd=directory, capture_output=True, text=True)
    elapsed = time.perf_counter() - begun
    if done.returncode != case.status:
        sys.exit(f"{name} ended with status {done.returncode}, expected {case.status}\n{done.stderr}")
    return median(json.loads(done.stdout.splitlines()[-1])) if case.self_timed else elapsed


def measure(name: str, group: Group, repeat: int) -> dict[str, list[float]]:
    """The seconds of every case, one for each round."""
    times: dict[str, list[float]] = {case: [] for case in group.cases}
    # deleting many files slows down making others for a minute: everything goes at the end
    with tempfile.TemporaryDirectory() as root:
        for number in track(range(-group.num_uncounted, repeat), description=name, transient=True):
            for case_name, case in group.cases.items():
                elapsed = seconds(case_name, case, Path(tempfile.mkdtemp(dir=root)))
                if number >= 0:
                    times[case_name].append(elapsed)
    return times


def tables(group: Group, times: Mapping[str, list[float]]) -> tuple[Table, Table]:
    medians = {name: median(values) for name, values in times.items()}
    measured = Table("what", *(Column(header, justify="right") for header in ("median, s", "lowest, s")))
    for name, values in times.items():
        measured.add_row(name, f"{medians[name]:.2f}", f"{min(values):.2f}")
    figures = Table("figure", *(Column(header, justify="right") for header in ("value", "target")), "")
    for name, figure in group.figures.items():
        value = figure.of(medians)
        target = (
            ""
            if figure.target is None
            else f"{'at least' if figure.at_least else 'at most'} {figure.target:g} {figure.unit}"
        )
        verdict = "" if figure.target is None else "reached" if figure.reached(value) else "missed"
        figures.add_row(name, f"{value:.2f} {figure.unit}", target, verdict)
    return measured, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, "all"], default="all", help="what to measure (all)")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds of each group (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds of every process here")
    arguments = parser.parse_args()
    if arguments.repeat < 1:
        parser.error(f"--repeat must be 1 or more, got {arguments.repeat}")
    names = list(GROUPS) if "all" in arguments.groups else list(dict.fromkeys(arguments.groups))
    if any(find_spec(package) is None for name in names for package in GROUPS[name].packages):
        others = " ".join(name for name in GROUPS if not GROUPS[name].packages)
        install = "pip install -c constraints.txt -e '.[benchmark]'"
        print(f"group training needs JAX: {install}; or name the other groups: {others}", file=sys.stderr)
        sys.exit(2)
    times = {name: measure(name, GROUPS[name], arguments.repeat) for name in names}
    if arguments.json:
        arguments.json.write_text(json.dumps(times, indent=2) + "\n")
    for name in names:
        for table in tables(GROUPS[name], times[name]):
            Console().print(table)


if __name__ == "__main__":
    main()
