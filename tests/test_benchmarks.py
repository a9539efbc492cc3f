"""The benchmarks' cases are commands that work; what they cost is no test's business."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, script
from conftest import composed
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from simplenn.config.checking import check_config

GROUPS: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "benchmarks"), run_name="benchmarks")["GROUPS"]
CASES = {f"{group}: {name}": case for group in GROUPS for name, case in GROUPS[group].cases.items()}
SWEEPS = {name: case for name, case in CASES.items() if "-m" in case.arguments}
# By a training of its own, and by JAX: what they compile takes longer than all other tests.
TRAINING = {name: case for name, case in CASES.items() if name.startswith("training")}
COMMANDS = {
    case.arguments: case for name, case in CASES.items() if name not in {**SWEEPS, **TRAINING} and not case.after
}


@pytest.mark.parametrize("case", COMMANDS.values(), ids=lambda case: " ".join(case.arguments)[-40:])
def test_a_case_ends_with_its_status(case: Any, tmp_path: Path) -> None:
    """And the last line of one that times itself is a list of seconds."""
    name, *arguments = case.arguments
    if name == "-c":
        name = str(tmp_path / "code.py")
        Path(name).write_text(arguments.pop(0))
    done = script(name, *arguments, cwd=tmp_path)
    assert done.returncode == case.status, done.stderr
    if case.self_timed:
        assert float(done.stdout.splitlines()[-1].strip("[]")) > 0


@pytest.mark.parametrize("name", SWEEPS)
def test_the_first_run_of_a_sweep_is_accepted(name: str) -> None:
    arguments = SWEEPS[name].arguments
    words = arguments[arguments.index("-m") + 1 :]
    check_config(composed(*map(first_value, OverridesParser.create().parse_overrides(words))))


def first_value(override: Override) -> str:
    """An override as the first job of a sweep has it."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return f"{override.key_or_group}={value.start}"
    first = next(override.sweep_string_iterator()) if override.is_sweep_override() else override.get_value_string()
    return f"{override.key_or_group}={first}"


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_process_takes_its_arguments(name: str) -> None:
    process, *arguments = TRAINING[name].arguments
    if "jax" in process:
        pytest.importorskip("jax")
    defined = runpy.run_path(process, run_name="process")
    parsed = defined["parser"]().parse_args(arguments)
    if "jax" not in process:
        defined["configured"](parsed.work, compiled=parsed.way == "compiled", epochs=parsed.epochs)


def test_each_figure_is_made_of_its_groups_cases() -> None:
    """By a name for each: a time that no case has is a KeyError."""
    for group in GROUPS.values():
        kinds = ("", ", GiB", ", CPU")
        times = {f"{case}{kind}": 1.0 for case in group.cases for kind in kinds}
        assert all(isinstance(figure.of(times), float) for figure in group.figures.values())


def test_a_case_comes_after_one_of_its_group() -> None:
    """Whose directory is there by then."""
    for group in GROUPS.values():
        names = list(group.cases)
        for place, case in enumerate(group.cases.values()):
            assert case.after is None or case.after in names[:place]


def test_a_run_is_extracted_in_seconds(tmp_path: Path) -> None:
    """The process that times this does so for each run but the first, of a sweep that is there."""
    sweep = script(
        "train.py", "-m", "experiment=post", "seed=0,1", "name=x", "trainer.max_epochs=2", "run_dirs=none",
        cwd=tmp_path,
    )  # fmt: skip
    assert sweep.returncode == 0, sweep.stderr
    process = str(ROOT / "scripts" / "benchmarks" / "processes" / "extracting.py")
    done = script(process, "outputs/sweeps/x", "seed=0", "seed=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (seconds,) = json.loads(done.stdout.splitlines()[-1])
    assert seconds > 0
    assert (tmp_path / "outputs" / "sweeps" / "x" / "runs" / "seed=1" / "result.json").exists()


def test_a_long_stack_takes_its_time_between_checkpoints(tmp_path: Path) -> None:
    """With 0 seconds one is written after each epoch but the last, and the sweep is as it is without."""
    process = str(ROOT / "scripts" / "benchmarks" / "processes" / "long_stack.py")
    arguments = ("-m", "experiment=post", "seed=1,2", "trainer.max_epochs=3", "run_dirs=none")
    for name, seconds in (("often", "0"), ("never", "inf")):
        done = script(process, seconds, *arguments, f"name={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    often, never = (tmp_path / "outputs" / "sweeps" / name / "results.csv" for name in ("often", "never"))
    assert often.read_text() == never.read_text()
