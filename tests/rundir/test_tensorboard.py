# pyright: reportAttributeAccessIssue=false
"""What a real TensorBoard server says of a run, over HTTP."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from simplenn.metric import METRICS
from simplenn.rundir import events, review
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run
from simplenn.training.recorder import Recorder

Ask = Callable[..., Any]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """A server on `tmp_path`, asked until an answer is complete."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--load_fast=false", "--reload_interval=1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answer(path: str, body: object = None, complete: Callable[[Any], bool] = bool) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        last: Any = None
        for _ in range(300):
            try:
                last = json.loads(urllib.request.urlopen(request, timeout=10).read())
            except OSError:
                last = None
            if last is not None and complete(last):
                return last
            time.sleep(0.2)
        raise AssertionError(f"{path} never answered in full: {last}")

    yield answer
    server.terminate()
    server.wait(timeout=30)


def test_tensorboard_shows_what_the_run_recorded(ask: Ask, train_run: Callable[..., Result], tmp_path: Path) -> None:
    """Scalars against the epoch, graph, figure, histograms, and hyperparameters with the real final metrics."""
    for seed in (1, 2):
        train_run(
            f"seed{seed}",
            "trainer.max_epochs=5",
            "data.num_train=64",
            "data.num_val=32",
            f"seed={seed}",
            "histograms=true",
        )
    rows = read_rows(tmp_path / "seed1" / "metrics.csv")
    tags = {f"{split}/{name}" for split in ("train", "val") for name in METRICS} | {"train/lr"}
    prefix = "/data/plugin/scalars"
    listed = ask(f"{prefix}/tags", complete=lambda runs: len(runs) == 2)
    best = {f"best/{tag}" for tag in tags - {"train/lr"}}
    assert set(listed["seed1"]) == tags | best
    assert min(rows, key=lambda row: row["val/loss"])["epoch"] == 5
    for tag in best:
        ((_, step, value),) = ask(f"{prefix}/scalars?run=seed1&tag={tag}", complete=lambda points: len(points) == 1)
        assert (step, value) == (5, pytest.approx(rows[-1][tag.removeprefix("best/")], rel=1e-6))
    for tag in tags:
        points = ask(f"{prefix}/scalars?run=seed1&tag={tag}", complete=lambda points: len(points) == 5)
        assert [step for _, step, _ in points] == [1, 2, 3, 4, 5]
        assert [value for _, _, value in points] == pytest.approx([row[tag] for row in rows], rel=1e-6)
    assert "seed1" in ask("/data/plugin/graphs/info")
    assert "val/predictions" in ask("/data/plugin/images/tags")["seed1"]
    names = {f"{kind}/network.layer1.{part}" for kind in ("weights", "gradients") for part in ("weight", "bias")}
    assert names <= set(ask("/data/plugin/histograms/tags")["seed1"])

    metric = {"name": {"group": "", "tag": "val/loss"}}
    body = {
        "startIndex": 0,
        "sliceSize": 10,
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": [{"metric": metric["name"]}],
        "aggregationType": "AGGREGATION_AVG",
    }
    hparams = "/experiment/defaultExperimentId/data/plugin/hparams/session_groups"
    ask(f"{prefix}/scalars?run=seed2&tag=val/loss", complete=lambda points: len(points) == 5)

    def whole(answer: Any) -> bool:
        return sum(len(group["sessions"]) for group in answer.get("sessionGroups", [])) == 2

    groups = ask(hparams, body, complete=whole)["sessionGroups"]
    assert len(groups) == 1  # two seeds of one setting
    assert groups[0]["hparams"]["optimizer"] == "SGD"
    assert groups[0]["hparams"]["optimizer.lr"] == 0.01
    assert "seed" not in groups[0]["hparams"]
    finals = [read_rows(tmp_path / f"seed{seed}" / "metrics.csv")[-1]["val/loss"] for seed in (1, 2)]
    (shown,) = [value["value"] for value in groups[0]["metricValues"] if value["name"]["tag"] == "val/loss"]
    assert shown == pytest.approx(sum(finals) / 2, rel=1e-6)


@pytest.mark.parametrize("value", [1e17, 1e30, 1e38, float("inf"), float("nan")])
def test_a_histogram_that_cannot_be_drawn_is_left_out(
    value: float,
    train_run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The run is done, one warning says so, and the other histograms are there."""
    original = Recorder.on_before_optimizer_step

    def on_before_optimizer_step(recorder: Recorder, *given: Any) -> None:
        original(recorder, *given)
        recorder._gradients["gradients/network.layer2.bias"] = torch.tensor([value])

    monkeypatch.setattr(Recorder, "on_before_optimizer_step", on_before_optimizer_step)
    assert (
        train_run("run", "data.num_train=32", "data.num_val=32", "trainer.max_epochs=2", "histograms=true").status
        == "done"
    )
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line == "no histogram of gradients/network.layer2.bias in epoch 1: its values are not finite or too large"
    (path,) = events.event_files(tmp_path / "run")
    drawn = [v.tag for event in events.read_events(path) for v in event.summary.value if v.HasField("histo")]
    assert "gradients/network.layer2.bias" not in drawn
    assert len(drawn) == len(set(drawn)) * 2 == 14


@pytest.mark.parametrize(("values", "left_out"), [([3e38, -3e38], []), ([1e200, -1e200], ["x"]), ([0.0], [])])
def test_a_histogram_holds_what_its_numbers_can(values: list[float], left_out: list[str], tmp_path: Path) -> None:
    """All of single precision; a double's square may be beyond a double."""
    writer = events.EventFile(tmp_path)
    assert review.write_histograms(writer, 1, {"x": torch.tensor(values, dtype=torch.float64)}) == left_out
    writer.close()


def test_a_failed_run_is_no_success(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """The status that the event file ends with is the run's own."""
    short = ("data.num_train=32", "data.num_val=32", "trainer.max_epochs=2")
    train_run("diverged", "optimizer.lr=1e30", *short)
    train_run("done", *short)
    for name, status in (("diverged", "STATUS_FAILURE"), ("done", "STATUS_SUCCESS")):
        (path,) = events.event_files(Run(tmp_path / name).directory)
        ends = [
            value.metadata.plugin_data.content
            for event in events.read_events(path)
            for value in event.summary.value
            if value.tag == "_hparams_/session_end_info"
        ]
        assert len(ends) == 1
        data = events.plugin_data_pb2.HParamsPluginData.FromString(ends[0])
        assert events.api_pb2.Status.Name(data.session_end_info.status) == status
