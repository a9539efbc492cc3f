"""What is written for one run in a sweep equals, parsed, what the same run leaves alone."""

# pyright: reportAttributeAccessIssue=false

import csv
import io
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import composed
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sweeps import group_of, result, train_alone
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from simplenn.config.checking import check_config
from simplenn.evaluation import evaluate, load_run
from simplenn.groups.joining import join_outcomes
from simplenn.groups.run_group import RunGroup
from simplenn.rundir import checkpoint, events
from simplenn.rundir.metrics import read_rows, write_rows
from simplenn.rundir.run import Run
from simplenn.setup import build_run
from simplenn.stacking import train_in_stacks
from simplenn.sweep.run_directories import are_wanted
from simplenn.sweep.run_files.checkpoints import Checkpoints
from simplenn.sweep.run_files.directories import write_directories
from simplenn.sweep.run_files.event_records import masked_checksums
from simplenn.sweep.run_files.metrics_files import csv_texts
from simplenn.training.train import train

SWEPT = ["optimizer.lr", "optimizer.momentum"]
GRID = ("optimizer.lr=1e-2,1,1e30", "optimizer.momentum=0,0.5", "seed=7", "data.num_train=48", "data.num_val=40")
REST = ("trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2", "show_outputs=true", "progress=none")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Run], list[Run], RunGroup]:
    """Six runs, some of them diverging, trained alone, and as written in bulk; in directories of one path."""
    root = tmp_path_factory.mktemp("pair")
    alone = train_alone(root / "sweep", *GRID, *REST)
    group = group_of(alone, SWEPT, SWEPT)
    (root / "sweep").rename(root / "alone")
    assert write_directories(group, root / "sweep", *build_run(group.cfg)) == [True] * 6
    return [Run(root / "alone" / sub) for sub in group.subdirs], [Run(root / "sweep" / s) for s in group.subdirs], group


def files(run: Run) -> set[str]:
    paths = (path.relative_to(run.directory) for path in run.directory.rglob("*") if path.is_file())
    return {re.sub(r"(tfevents)\..*", r"\1", str(path)) for path in paths}


def test_the_files_are_the_same(pair: tuple[list[Run], list[Run], RunGroup]) -> None:
    """Name for name; the runs of the sweep end in more than one way."""
    alone, bulk, group = pair
    assert set(group.ended.status) == {"done", "diverged"}
    assert [files(run) for run in bulk] == [files(run) for run in alone]
    assert any("checkpoints/best.ckpt" not in files(run) for run in bulk)


def test_the_text_files_are_the_same(pair: tuple[list[Run], list[Run], RunGroup]) -> None:
    """`.hydra/` parsed, `metrics.csv` to the letter, `result.json` and `train.log` but for the time."""
    for alone, bulk in zip(*pair[:2], strict=True):
        for name in ("config", "hydra", "overrides"):
            one, other = (OmegaConf.load(run.directory / ".hydra" / f"{name}.yaml") for run in (alone, bulk))
            assert OmegaConf.to_container(one) == OmegaConf.to_container(other)
        assert [run.metrics_file.exists() for run in (alone, bulk)] in ([True, True], [False, False])
        if alone.metrics_file.exists():
            assert bulk.metrics_file.read_text() == alone.metrics_file.read_text()
        assert {**vars(result(bulk)), "seconds": 0} == {**vars(result(alone)), "seconds": 0}
        logs = [(run.directory / "train.log").read_text() for run in (alone, bulk)]
        one, other = (re.sub(r"^\[[-\d :,]+\]|\d+\.\d s", "", text, flags=re.MULTILINE) for text in logs)
        assert one == other


def test_the_checkpoints_are_the_same(pair: tuple[list[Run], list[Run], RunGroup]) -> None:
    """Key by key and type by type, with torch's own checksums intact, for the last and the best."""
    for alone, bulk in zip(*pair[:2], strict=True):
        for which in ("last", "best"):
            if alone.checkpoint(which).exists():
                assert_same(checkpoint.load(bulk.checkpoint(which)), checkpoint.load(alone.checkpoint(which)))
                assert zipfile.ZipFile(bulk.checkpoint(which)).testzip() is None


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for own, its in zip(one, other, strict=True):
            assert_same(own, its)
    elif isinstance(one, torch.Tensor):
        assert (one.dtype, one.stride()) == (other.dtype, other.stride())
        assert torch.equal(one, other)
    else:
        assert one == other


def test_the_event_files_are_the_same(pair: tuple[list[Run], list[Run], RunGroup]) -> None:
    """Event by event, but for the time: hyperparameters, graph, scalars, picture, status."""
    for alone, bulk in zip(*pair[:2], strict=True):
        one, other = ([timeless(event) for event in recorded(run)] for run in (alone, bulk))
        assert len(one) >= 4
        assert one == other


def recorded(run: Run) -> list[Any]:
    (path,) = events.event_files(run.directory)
    found = events.read_events(path)
    assert path.stat().st_size == sum(len(events.record(event.SerializeToString())) for event in found)
    return found


def timeless(event: Any) -> Any:
    event.wall_time = 0
    if event.graph_def:
        event.graph_def = GraphDef.FromString(event.graph_def).SerializeToString(deterministic=True)
    for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "hparams":
            data = events.plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
            data.session_start_info.start_time_secs = data.session_end_info.end_time_secs = 0
            value.metadata.plugin_data.content = data.SerializeToString(deterministic=True)
    return event


def test_a_metric_that_is_undefined_is_left_out(pair: tuple[list[Run], list[Run], RunGroup], tmp_path: Path) -> None:
    """Of that run in that epoch alone: no cell, no scalar; the run beside it keeps its own."""
    name, epoch = "train/mae", 1
    group = pair[2].take([0, 1])
    assert group.ended.status == ["done", "done"]
    group.ended.curves[name][epoch - 1, 0] = torch.nan
    assert write_directories(group, tmp_path, *build_run(group.cfg)) == [True] * 2
    for run, (alone, subdir) in enumerate(zip(pair[0][:2], group.subdirs, strict=True)):
        written = Run(tmp_path / subdir)
        rows, expected = read_rows(alone.metrics_file), [timeless(event) for event in recorded(alone)]
        if run == 0:
            del rows[epoch - 1][name]
            (event,) = (event for event in expected if event.step == epoch and len(event.summary.value) > 1)
            (place,) = (i for i, value in enumerate(event.summary.value) if value.tag == name)
            del event.summary.value[place]
        write_rows(tmp_path / "expected.csv", rows)
        assert written.metrics_file.read_text() == (tmp_path / "expected.csv").read_text()
        assert [timeless(event) for event in recorded(written)] == expected
        best = min(row[name] for row in rows if name in row)
        assert (result(written).metrics[name], result(written).best[name]) == (rows[-1][name], best)


def test_a_directory_that_is_there_is_left_as_it_is(
    pair: tuple[list[Run], list[Run], RunGroup], tmp_path: Path
) -> None:
    """And nothing half-written remains beside those that are new."""
    group = pair[2].take([3, 1])
    (tmp_path / group.subdirs[0]).mkdir(parents=True)
    assert write_directories(group, tmp_path, *build_run(group.cfg)) == [False, True]
    assert list((tmp_path / group.subdirs[0]).iterdir()) == []
    assert {path.name for path in (tmp_path / "runs").iterdir()} == set(group.names)


def test_a_run_from_bulk_evaluates_and_trains_on(pair: tuple[list[Run], list[Run], RunGroup], tmp_path: Path) -> None:
    """As the run that trained alone does: the same test losses, the same epochs after a resume."""
    alone, bulk, _ = pair
    metrics = [evaluate(run, *load_run(run)[:2]) for run in (alone[1], bulk[1])]
    assert metrics[0] == metrics[1]
    for name, run in (("alone", alone[1]), ("bulk", bulk[1])):
        shutil.copytree(run.directory, tmp_path / name)
        cfg = run.config
        cfg.trainer.max_epochs, cfg.quiet = 6, True
        assert train(cfg, tmp_path / name).epoch == 6
    texts = [Run(tmp_path / name).metrics_file.read_text() for name in ("alone", "bulk")]
    assert texts[0] == texts[1]
    states = [checkpoint.load(Run(tmp_path / name).checkpoint("last")) for name in ("alone", "bulk")]
    assert_same(states[1], states[0])


@pytest.mark.parametrize("momentum", [[0.9, 0.0], [0.0, 0.9]])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_stacks_may_keep_other_states_of_the_optimizer(
    optimizer: str, momentum: list[float], train_run: Any, tmp_path: Path
) -> None:
    """A run without momentum has no buffer for it, its neighbour in the next stack has: each checkpoint is as alone."""
    base = [f"optimizer={optimizer}", "trainer.max_epochs=2", "data.num_train=48", "data.num_val=32"]
    base += ["optimizer.centered=true"] if optimizer == "rmsprop" else []
    cfg = check_config(composed("quiet=true", "trainer=cpu", *base))
    columns = {"optimizer.momentum": momentum}
    names = ["0", "1"]
    outcome = join_outcomes(
        [outcome for _, outcome in train_in_stacks(cfg, columns, max_stack=1) if outcome is not None]
    )
    group = RunGroup(cfg, [0, 1], [[], []], columns, names, checked=cfg).trained(outcome, stacked=True)
    bulk = Checkpoints(group, build_run(cfg)[0]).files(outcome.last, [0, 1])
    for run, name in enumerate(names):
        train_run(name, *base, f"optimizer.momentum={momentum[run]}")
        together = torch.load(io.BytesIO(bulk[run]), weights_only=True)
        assert_same(together, checkpoint.load(Run(tmp_path / name).checkpoint("last")))


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20), data=st.data())
def test_rows_in_bulk_are_the_text_of_each_alone(values: list[float], data: Any, tmp_path_factory: Any) -> None:
    """To the letter, for any number, and wherever a run's rows end."""
    path = tmp_path_factory.mktemp("rows") / "metrics.csv"
    counts = data.draw(st.lists(st.integers(0, len(values)), min_size=1, max_size=4))
    curve = np.repeat(np.array(values)[:, None], len(counts), axis=1)
    cells = [["a", "b"] if epoch % 2 else ["a"] for epoch in range(len(values))]
    shown = {"a": curve, "b": np.where((np.arange(len(values)) % 2 == 1)[:, None], curve, np.nan)}
    texts = csv_texts(shown, cells, [7 * (epoch + 1) for epoch in range(len(values))], np.array(counts))
    for count, text in zip(counts, texts, strict=True):
        rows = [
            {"epoch": epoch + 1, "step": 7 * (epoch + 1), **dict.fromkeys(cells[epoch], values[epoch])}
            for epoch in range(count)
        ]
        write_rows(path, rows)
        assert text.decode() == (path.read_text() if rows else "")
        assert len(list(csv.DictReader(io.StringIO(text.decode())))) == count


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_checksums_together_are_those_of_each(records: list[bytes]) -> None:
    assert masked_checksums(records).tolist() == [masked_crc32c(record) for record in records]


@pytest.mark.parametrize(
    ("run_dirs", "num_runs", "answer"),
    [("auto", 500, True), ("auto", 501, False), ("all", 10**6, True), ("none", 1, False)],
)
def test_past_500_runs_directories_are_written_on_demand(run_dirs: str, num_runs: int, answer: bool) -> None:
    assert are_wanted(run_dirs, num_runs) is answer
