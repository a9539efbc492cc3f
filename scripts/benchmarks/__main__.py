"""What a command costs in seconds and memory, start to end: python scripts/benchmarks start sweep --repeat 5

Each case is a whole process, started afresh and timed from outside. The cases of a group take turns, round
after round, so that the noise of a shared machine hits all alike; what counts is a case's median over the
rounds. A figure is made from these medians and stands beside its target. Outputs go to temporary directories.

The groups, each in a file of its own: `start`, `sweep`, `growth`, `large`, `proof` and, with the extra `benchmark`,
`training`.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from cases import ROOT, Case, Group, cpu_of, memory_of
from growth import GROWTH
from large import LARGE
from proof import PROOF
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from start import START
from sweep import SWEEP
from training import TRAINING

GROUPS = {"start": START, "sweep": SWEEP, "growth": GROWTH, "large": LARGE, "proof": PROOF, "training": TRAINING}


def run(name: str, case: Case, directory: Path, root: Path) -> tuple[float, float, float]:
    """The wall time of one process, or what it tells, the most memory that it had at once, in GiB, and its CPU time.
    Ends the benchmark where it ends otherwise than it must."""
    arguments, environment = list(case.arguments), dict(os.environ)
    if case.commit is not None:
        files = checked_out(case.commit, root)
        arguments = [argument.replace(str(ROOT), str(files)) for argument in arguments]
        environment["PYTHONPATH"] = str(files / "src")
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=directory, env=environment, stdout=output, stderr=errors
        )
        _, status, used = os.wait4(process.pid, 0)  # unlike `wait`, it tells what this one process has used
        elapsed = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != case.status:
            sys.exit(f"{name} ended with status {process.returncode}, expected {case.status}\n{errors.read()}")
        told = output.read()
    seconds = median(json.loads(told.splitlines()[-1])) if case.self_timed else elapsed
    return seconds, used.ru_maxrss / 2**20, used.ru_utime + used.ru_stime


def checked_out(commit: str, root: Path) -> Path:
    """The repository's files of a commit, below `root`."""
    folder = root / commit
    if not folder.exists():
        folder.mkdir()
        packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True)
        if packed.returncode:
            sys.exit(f"the history must have commit {commit}: {packed.stderr.decode().strip()}")
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
    return folder


def measure(name: str, group: Group, repeat: int) -> dict[str, list[float]]:
    """Of every case the seconds, as `memory_of` it the GiB, and as `cpu_of` it the CPU time, one for each round."""
    measured: dict[str, list[float]] = {}
    # deleting many files slows down making others for a minute: everything goes at the end
    with tempfile.TemporaryDirectory() as root:
        for number in track(range(-group.num_uncounted, repeat), description=name, transient=True):
            directories: dict[str, Path] = {}
            for case_name, case in group.cases.items():
                directories[case_name] = directories[case.after] if case.after else Path(tempfile.mkdtemp(dir=root))
                found = run(case_name, case, directories[case_name], Path(root))
                for kind, value in zip((case_name, memory_of(case_name), cpu_of(case_name)), found, strict=True):
                    if number >= 0:
                        measured.setdefault(kind, []).append(value)
    return measured


def tables(group: Group, times: Mapping[str, list[float]]) -> tuple[Table, Table]:
    medians = {name: median(values) for name, values in times.items()}
    measured = Table(
        "what", *(Column(header, justify="right") for header in ("median, s", "lowest, s", "CPU, s", "GiB"))
    )
    for name in group.cases:
        own = (medians[name], min(times[name]), medians[cpu_of(name)], medians[memory_of(name)])
        measured.add_row(name, *(f"{value:.2f}" for value in own))
    figures = Table("figure", *(Column(header, justify="right") for header in ("value", "target")), "")
    for name, figure in group.figures.items():
        value = figure.of(medians)
        target = (
            ""
            if figure.target is None
            else f"{'at least' if figure.at_least else 'at most'} {figure.target:g} {figure.unit}"
        )
        verdict = "" if figure.target is None else "reached" if figure.reached(value) else "missed"
        figures.add_row(name, f"{value:.3g} {figure.unit}", target, verdict)
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
