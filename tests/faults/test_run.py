"""A run that is stopped at any moment of any writing and then gone on with is the run that was never stopped."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import ROOT, script

from simplenn.rundir import checkpoint, events
from simplenn.rundir.crash_points import KILLED
from simplenn.rundir.result import SUM
from simplenn.rundir.run import Run

# With a validation, the best weights are those at an epoch's end; without, those at its beginning. The best epoch is
# not the last one: it is the second of four, and the third.
SETTING = ("optimizer=adam", "optimizer.lr=0.5", "data.num_train=32", "trainer.max_epochs=4")
VALIDATED, NOT_VALIDATED = (*SETTING, "data.num_val=16"), (*SETTING, "data.num_val=0")
SETTINGS = pytest.mark.parametrize("setting", [VALIDATED, NOT_VALIDATED], ids=["validated", "not validated"])


def train(folder: Path, setting: tuple[str, ...], points: list[list[int]]) -> list[str]:
    """Trains in directories of the folder, as `crashing.py` does; the names of the crash points of a whole run."""
    crashing = str(ROOT / "tests" / "crashing.py")
    done = script(crashing, str(ROOT / "conf"), str(folder), json.dumps(points), *setting, cwd=folder)
    assert done.returncode == 0, done.stderr
    for name, statuses in json.loads(done.stdout.splitlines()[-1]).items():
        # a later session may have fewer crash points than the one it is to be stopped at
        assert set(statuses[:-1]) <= {KILLED, 0} and statuses[-1] == 0, (name, statuses, done.stderr)
    return [line.split(" ", 1)[1].replace(str(folder), "") for line in (folder / "points.txt").read_text().splitlines()]


def content(directory: Path) -> dict[str, Any]:
    """All that a run leaves, by file, without times."""
    found: dict[str, Any] = {}
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        if name.startswith("events"):
            records = events.read_events(path)
            assert path.stat().st_size == sum(len(events.record(event.SerializeToString())) for event in records)
            shown = [(v.tag, event.step, v.simple_value) for event in records for v in event.summary.value]
            found["events"] = [sum(event.HasField("graph_def") for event in records), sorted(shown)]
        elif name == "result.json":
            found[name] = {key: v for key, v in json.loads(path.read_text()).items() if key not in ("seconds", SUM)}
        elif path.suffix == ".ckpt":
            found[name] = plain(checkpoint.load(path))
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def plain(node: Any) -> Any:
    """A checkpoint in what can be compared. (Its bytes also depend on which of its texts are one object.)"""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(item) for item in node]
    return (str(node.dtype), node.tolist()) if isinstance(node, torch.Tensor) else node


def assert_all_whole(folder: Path) -> None:
    whole = content(folder / "whole")
    assert {"metrics.csv", "events", "result.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"} == set(whole)
    best = Run(folder / "whole").result()
    assert best is not None and best.best != {k: v for k, v in best.metrics.items() if k != "train/lr"}
    directories = [path for path in folder.iterdir() if path.is_dir()]
    assert len(directories) > 1
    for directory in directories:
        assert content(directory) == whole, directory


@SETTINGS
def test_run_stopped_while_it_saves(setting: tuple[str, ...], tmp_path: Path) -> None:
    """At a seeded third of the points at which the files of an epoch are written that is the best so far."""
    points = train(tmp_path, setting, [])
    rows = [number for number, name in enumerate(points, 1) if name == "before write /whole/metrics.csv"]
    (tmp_path / "points.txt").unlink()
    epoch = range(*rows[1:3]) if setting == VALIDATED else range(*rows[2:4])
    assert any("best.ckpt" in points[number - 1] for number in epoch), points
    train(tmp_path, setting, [[number] for number in random.Random(2).sample(epoch, len(epoch) // 3)])
    assert_all_whole(tmp_path)


@pytest.mark.battery
@SETTINGS
def test_run_stopped_at_every_point(setting: tuple[str, ...], tmp_path: Path) -> None:
    points = train(tmp_path, setting, [])
    (tmp_path / "points.txt").unlink()
    train(tmp_path, setting, [[number] for number in range(1, len(points) + 1)])
    assert_all_whole(tmp_path)


@pytest.mark.battery
@SETTINGS
def test_run_stopped_again_and_again(setting: tuple[str, ...], tmp_path: Path) -> None:
    """Three times, at points of a seeded draw: of a new run, of its resume, of the resume of that."""
    points = train(tmp_path, setting, [])
    (tmp_path / "points.txt").unlink()
    draw = random.Random(1)
    train(tmp_path, setting, [[draw.randint(1, len(points)) for _ in range(3)] for _ in range(60)])
    assert_all_whole(tmp_path)
