"""A resumed run is the run that was never interrupted: same rows, same weights, one curve."""

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import composed, script
from omegaconf import OmegaConf

from simplenn import signals
from simplenn.config import check_config, identity
from simplenn.errors import ConfigError
from simplenn.evaluation import load_run
from simplenn.rundir import atomic, checkpoint, events, metrics
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.rewind import rewind, stale_best
from simplenn.rundir.run import Run
from simplenn.signals import Interrupted
from simplenn.training.recorder import Recorder

SETTING = ("optimizer=adam", "data.num_train=64", "data.num_val=32", "seed=5")


def assert_same_run(run: Run, oracle: Run) -> None:
    assert run.metrics_file.read_text() == oracle.metrics_file.read_text()
    weights, expected = (checkpoint.load(r.checkpoint("last"))["state_dict"] for r in (run, oracle))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert scalars(run) == scalars(oracle)
    assert len(scalars(run)) == len(set(scalars(run)))


def scalars(run: Run) -> list[tuple[str, int]]:
    """Tag and step of every scalar, in the order of the one event file."""
    (path,) = events.event_files(run.directory)
    return [
        (value.tag, event.step)
        for event in events.read_events(path)
        for value in event.summary.value
        if value.HasField("simple_value")
    ]


class Cut:
    """Ends training by a signal's exception, after a number of optimizer steps of this session."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        original = Recorder.on_train_batch_end

        def on_train_batch_end(recorder: Recorder, *arguments: object, **named: object) -> None:
            original(recorder, *arguments, **named)  # pyright: ignore[reportArgumentType]
            self.left -= 1
            if self.left == 0:
                raise Interrupted(15)

        monkeypatch.setattr(Recorder, "on_train_batch_end", on_train_batch_end)


@pytest.mark.parametrize("steps", [1, 2, 6, 7, 11])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    optimizer: str,
    steps: int,
    train_run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut after any step, at an epoch's end (two steps an epoch) or in its middle; in the first epoch too."""
    setting = (*SETTING, f"optimizer={optimizer}", "trainer.max_epochs=6")
    train_run("whole", *setting)
    with monkeypatch.context() as patch:
        Cut(patch, steps)
        with pytest.raises(Interrupted):
            train_run("cut", *setting)
    cut = Run(tmp_path / "cut")
    result = cut.result()
    assert result is not None
    assert result.status == "interrupted"
    assert result.epoch == (steps - 1) // 2
    train_run("cut", *setting)
    assert_same_run(cut, Run(tmp_path / "whole"))


def test_a_network_with_dropout_resumes_to_the_bit(
    train_run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a network draws while it trains depends on the seed and the epoch alone."""
    from simplenn.training.train import train

    cfg = composed("quiet=true", "trainer=cpu", *SETTING, "trainer.max_epochs=4")
    layers = [{"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 8}]
    layers += [{"_target_": "torch.nn.Dropout", "p": 0.5}]
    layers += [{"_target_": "torch.nn.Linear", "in_features": 8, "out_features": 1}]
    cfg.model = OmegaConf.create({"_target_": "torch.nn.Sequential", "_args_": layers})
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    train(cfg, tmp_path / "whole")
    with monkeypatch.context() as patch:
        Cut(patch, 5)
        with pytest.raises(Interrupted):
            train(cfg, tmp_path / "cut")
    train(cfg, tmp_path / "cut")
    assert_same_run(Run(tmp_path / "cut"), Run(tmp_path / "whole"))


def test_raising_max_epochs_extends_a_finished_run(train_run: Callable[..., Result], tmp_path: Path) -> None:
    train_run("long", *SETTING, "trainer.max_epochs=9")
    train_run("short", *SETTING, "trainer.max_epochs=4")
    result = train_run("short", *SETTING, "trainer.max_epochs=9")
    assert (result.status, result.epoch) == ("done", 9)
    assert_same_run(Run(tmp_path / "short"), Run(tmp_path / "long"))
    before = Run(tmp_path / "short").result_file.read_bytes()
    assert train_run("short", *SETTING, "trainer.max_epochs=9") == result
    assert Run(tmp_path / "short").result_file.read_bytes() == before


def test_a_resume_may_change_what_machinery_trains(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """One line notes it, printed and in the run's log; the numbers go on as they would have, up to rounding.

    What the run was given for itself stays, and what its command was given for itself does not.
    """
    small = ("data.num_train=64", "data.num_val=32")
    train_run("whole", "trainer.max_epochs=4", *small)
    first = (*small, "trainer.accelerator=cpu", "trainer.devices=1", "histograms=true", "quiet=true")
    assert script("train.py", "name=x", "trainer.max_epochs=2", *first, cwd=tmp_path).returncode == 0
    now = ("resume=true", "trainer.max_epochs=4", "trainer=ddp", "trainer.accelerator=cpu")
    resumed = script("train.py", "name=x", *now, cwd=tmp_path, further_ranks=1)
    assert resumed.returncode == 0, resumed.stderr
    run = Run(tmp_path / "outputs" / "runs" / "x")
    note = "trainer.devices is 2 here and was 1, trainer.strategy is ddp here and was auto"
    assert resumed.stdout.splitlines()[0] == note
    assert note in (run.directory / "train.log").read_text()
    assert (run.config.histograms, run.config.quiet, run.config.trainer.devices) == (True, False, 2)
    rows = read_rows(run.metrics_file)
    assert rows == [pytest.approx(row, rel=1e-4) for row in read_rows(Run(tmp_path / "whole").metrics_file)]
    assert rows[:2] == read_rows(Run(tmp_path / "whole").metrics_file)[:2]


def flipped(data: bytes) -> bytes:
    """One bit of a weight, in the middle, is another."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("damage", [flipped, lambda data: data[:-100], lambda data: b""])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(
    damage: Callable[[bytes], bytes],
    train_run: Callable[..., Result],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flipped bit, a file cut short, an empty file: warned of, and the run still ends as if nothing had been."""
    train_run("whole", *SETTING, "trainer.max_epochs=6")
    train_run("hurt", *SETTING, "trainer.max_epochs=4")
    run = Run(tmp_path / "hurt")
    path = run.checkpoint("last")
    path.write_bytes(damage(path.read_bytes()))
    train_run("hurt", *SETTING, "trainer.max_epochs=6")
    assert "last.ckpt is damaged" in caplog.text
    assert run.checkpoint("last").with_name("last.ckpt.damaged").exists()
    assert_same_run(run, Run(tmp_path / "whole"))


def test_a_run_with_damaged_checkpoints_only_is_left_as_it_is(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """Nothing finished is lost: the record is not taken back, and the run is not trained from its start."""
    train_run("hurt", *SETTING, "trainer.max_epochs=2")
    run = Run(tmp_path / "hurt")
    for which in ("last", "best"):
        run.checkpoint(which).write_bytes(flipped(run.checkpoint(which).read_bytes()))
    before = {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="must have a sound checkpoint to go on from"):
        train_run("hurt", *SETTING, "trainer.max_epochs=3")
    assert {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()} == before


def test_another_runs_files_are_not_gone_on_from(
    train_run: Callable[..., Result], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its `last` is set aside for the run's own `best`; its rows are refused, which would stand before the run's."""
    train_run("whole", *SETTING, "trainer.max_epochs=4")
    for name, epochs in (("run", 3), ("rows", 3)):
        train_run(name, *SETTING, f"trainer.max_epochs={epochs}")
    train_run("other", *SETTING, "seed=6", "trainer.max_epochs=3")
    whole, run, rows, other = (Run(tmp_path / name) for name in ("whole", "run", "rows", "other"))
    shutil.copy(other.checkpoint("last"), run.checkpoint("last"))
    train_run("run", *SETTING, "trainer.max_epochs=4")
    assert "last.ckpt is another run's" in caplog.text and "going on from the one before it" in caplog.text
    assert run.metrics_file.read_text() == whole.metrics_file.read_text()
    shutil.copy(other.metrics_file, rows.metrics_file)
    with pytest.raises(ConfigError, match=r"must end with the metrics that result\.json has, but is another run's"):
        train_run("rows", *SETTING, "trainer.max_epochs=4")


@pytest.mark.parametrize("validated", [True, False])
def test_a_stale_best_checkpoint_is_noticed_and_mended(
    validated: bool, train_run: Callable[..., Result], tmp_path: Path
) -> None:
    """A kill between the two checkpoints of an epoch that is the best so far leaves the best of an epoch before:
    evaluation refuses it, and the resume makes it from what there is."""
    setting = (*SETTING, "trainer.max_epochs=4", *([] if validated else ["data.num_val=0"]))
    train_run("whole", *setting)
    train_run("before", *setting, "trainer.max_epochs=3")
    train_run("killed", *setting)
    whole, before, killed = (Run(tmp_path / name) for name in ("whole", "before", "killed"))
    cfg = composed("trainer=cpu", *setting)
    own = identity(check_config(cfg))
    assert stale_best(whole, own, checkpoint.load(whole.checkpoint("best"), of=own)) is None
    killed.result_file.unlink()
    shutil.copy(before.checkpoint("best"), killed.checkpoint("best"))
    if not validated:  # the best weights are those before the last epoch, which `last` still is
        killed.checkpoint("last").rename(killed.checkpoint("next"))
        for which in ("best", "last"):
            shutil.copy(before.checkpoint("last"), killed.checkpoint(which))
    killed.write_hydra_folder({"config.yaml": OmegaConf.to_yaml(cfg).encode()}, own)
    if validated:
        with pytest.raises(ConfigError, match=r"it is of epoch 3, and the best of metrics\.csv is epoch 4"):
            load_run(killed)
    rewind(killed, own)
    assert stale_best(killed, own, checkpoint.load(killed.checkpoint("best"))) is None
    train_run("killed", *setting)
    for which in ("best", "last"):
        mended, expected = (checkpoint.load(run.checkpoint(which)) for run in (killed, whole))
        assert checkpoint.epochs_completed(mended) == checkpoint.epochs_completed(expected)
        assert all(torch.equal(mended["state_dict"][name], own) for name, own in expected["state_dict"].items())
    assert not killed.checkpoint("next").exists()
    assert load_run(killed)[2] == (4 if validated else 3)


def test_a_damaged_best_checkpoint_is_set_aside(
    train_run: Callable[..., Result], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the resume, with a warning, where the last one is of another epoch."""
    setting = (*SETTING, "optimizer.lr=0.5", "data.num_train=32", "data.num_val=16")
    train_run("hurt", *setting, "trainer.max_epochs=4")
    path = Run(tmp_path / "hurt").checkpoint("best")
    path.write_bytes(flipped(path.read_bytes()))
    train_run("hurt", *setting, "trainer.max_epochs=5")
    assert "best.ckpt is damaged or another run's: set aside as best.ckpt.damaged" in caplog.text
    assert path.with_name("best.ckpt.damaged").exists()


def test_a_run_in_double_precision_resumes_to_the_bit(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """Nothing of it is rounded on the way: its rows, its weights, its optimizer's state."""
    setting = (*SETTING, "trainer.precision=64-true")
    train_run("whole", *setting, "trainer.max_epochs=4")
    train_run("cut", *setting, "trainer.max_epochs=2")
    train_run("cut", *setting, "trainer.max_epochs=4")
    assert_same_run(Run(tmp_path / "cut"), Run(tmp_path / "whole"))
    cut, whole = (tensors(checkpoint.load(Run(tmp_path / name).checkpoint("last"))) for name in ("cut", "whole"))
    assert cut.keys() == whole.keys()
    assert all(torch.equal(cut[place], whole[place]) for place in cut)
    assert {tensor.dtype for tensor in cut.values() if tensor.dim()} == {torch.float64}


def tensors(node: Any, place: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint, by its place in it."""
    if isinstance(node, torch.Tensor):
        return {place: node}
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    return {name: leaf for key, child in children for name, leaf in tensors(child, f"{place}/{key}").items()}


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed", "bf16-true"])
def test_every_precision_of_the_cpu_trains_to_its_end(precision: str, train_run: Callable[..., Result]) -> None:
    assert train_run("run", *SETTING, f"trainer.precision={precision}", "trainer.max_epochs=2").status == "done"


def test_every_flipped_bit_is_noticed(train_run: Callable[..., Result], tmp_path: Path) -> None:
    train_run("run", *SETTING, "trainer.max_epochs=1")
    path = Run(tmp_path / "run").checkpoint("last")
    whole = path.read_bytes()
    torch.load(path, weights_only=True)  # the seal does not hinder torch itself
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(checkpoint.DamagedCheckpoint):
            checkpoint.load(path)


def test_a_row_too_many_after_a_kill_is_trained_again(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """A kill between a row and its checkpoint, or in the middle of a record, leaves no double and no gap."""
    train_run("whole", *SETTING, "trainer.max_epochs=6")
    train_run("killed", *SETTING, "trainer.max_epochs=4")
    run = Run(tmp_path / "killed")
    run.result_file.unlink()
    metrics = ",0.1" * (len(read_rows(run.metrics_file)[0]) - 2)
    with run.metrics_file.open("a") as stream:
        stream.write(f"5,10{metrics}\n6,12,0.")
    writer = events.EventFile(run.directory)
    writer.scalars({"train/loss": 0.1, "val/loss": 0.1}, 5)
    writer.close()
    with writer.path.open("ab") as stream:
        stream.write(b"\x18\x00\x00\x00\x00\x00\x00\x00\xa3")
    train_run("killed", *SETTING, "trainer.max_epochs=6")
    assert_same_run(run, Run(tmp_path / "whole"))


def test_a_run_that_another_process_has_is_refused(train_run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with Run(tmp_path / "run").locked(), pytest.raises(ConfigError, match="in use by process"):
        train_run("run", *SETTING)


def test_a_diverged_run_keeps_its_last_finite_state(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """The epoch and step are named, the rows end before it, and the checkpoint is the epoch's before it."""
    result = train_run("run", "experiment=post", "model.activation=sigmoid", "optimizer.lr=1")
    run = Run(tmp_path / "run")
    rows = read_rows(run.metrics_file)
    assert result.status == "diverged"
    assert result.message.startswith("diverged: the loss became")
    assert result.message.endswith(f"in epoch {result.epoch}, step {result.epoch}")
    assert len(rows) == result.epoch - 1 > 0
    assert result.objective == float("inf")
    state = checkpoint.load(run.checkpoint("last"))
    assert checkpoint.epochs_completed(state) == len(rows)
    assert all(bool(torch.isfinite(weight).all()) for weight in state["state_dict"].values())


def test_a_run_that_diverges_at_once_keeps_its_initial_weights(
    train_run: Callable[..., Result], tmp_path: Path
) -> None:
    result = train_run("run", "optimizer.lr=1e30")
    assert (result.status, result.epoch, result.metrics) == ("diverged", 1, {})
    state = checkpoint.load(Run(tmp_path / "run").checkpoint("last"))
    assert checkpoint.epochs_completed(state) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no events"),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    ],
)
def test_a_destroyed_event_file_is_drawn_anew_from_the_rows(
    damage: Callable[[Path], None], train_run: Callable[..., Result], tmp_path: Path
) -> None:
    """TensorBoard shows one continuous curve, with the values that it had, and the graph."""
    train_run("whole", *SETTING, "trainer.max_epochs=6")
    train_run("hurt", *SETTING, "trainer.max_epochs=4")
    run = Run(tmp_path / "hurt")
    (path,) = events.event_files(run.directory)
    damage(path)
    train_run("hurt", *SETTING, "trainer.max_epochs=6")
    assert_same_run(run, Run(tmp_path / "whole"))
    (path,) = events.event_files(run.directory)
    records = events.read_events(path)
    assert records[0].file_version == "brain.Event:2"
    assert sum(record.HasField("graph_def") for record in records) == 1
    drawn = {(v.tag, record.step): v.simple_value for record in records for v in record.summary.value}
    for row in read_rows(run.metrics_file):
        assert drawn["train/loss", row["epoch"]] == pytest.approx(row["train/loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: lines[:2] + lines[3:], "epoch 2 has 0"),
        (lambda lines: lines[:-1], "epoch 4 has 0"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "epoch 2 has 2"),
        (lambda lines: [*lines[:2], lines[3], lines[2], lines[4]], "in another order"),
        (lambda lines: [*lines[:2], "2,4,x,", *lines[3:]], "must hold the rows of numbers"),
        (lambda lines: [*lines[:2], lines[2] + ",1", *lines[3:]], "a row must have a cell for each column"),
        (lambda lines: lines[1:], "must hold the rows of numbers"),
        (lambda lines: [], "epoch 1 has 0"),
    ],
)
def test_rows_that_the_checkpoint_has_and_the_record_lacks_are_refused(
    damage: Callable[[list[str]], list[str]], message: str, train_run: Callable[..., Result], tmp_path: Path
) -> None:
    """In one line, and nothing is written."""
    train_run("hurt", *SETTING, "trainer.max_epochs=4")
    run = Run(tmp_path / "hurt")
    lines = damage(run.metrics_file.read_text().splitlines())
    run.metrics_file.write_text("".join(f"{line}\n" for line in lines))
    before = {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=message) as refusal:
        train_run("hurt", *SETTING, "trainer.max_epochs=6")
    assert "\n" not in str(refusal.value)
    assert {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()} == before


def test_a_second_signal_finds_the_result_written(
    train_run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes while the record is closed waits for its end; then it ends the process, were it the first."""
    before = {signum: signal.getsignal(signum) for signum in signals.SIGNALS}
    monkeypatch.setattr(signals, "_received", [])
    close = Recorder.close

    def close_and_be_interrupted(recorder: Recorder, result: Result) -> None:
        signal.raise_signal(signal.SIGTERM)
        close(recorder, result)

    monkeypatch.setattr(Recorder, "close", close_and_be_interrupted)
    try:
        signals.install()
        with pytest.raises(Interrupted):
            train_run("run", *SETTING, "trainer.max_epochs=2")
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    result = Run(tmp_path / "run").result()
    assert result is not None
    assert (result.status, result.epoch) == ("done", 2)


def test_seconds_add_up_over_the_sessions_of_a_run(train_run: Callable[..., Result], tmp_path: Path) -> None:
    train_run("run", *SETTING, "trainer.max_epochs=1")
    run = Run(tmp_path / "run")
    result = run.result()
    assert result is not None
    run.write_result(replace(result, seconds=1000.0))
    assert train_run("run", *SETTING, "trainer.max_epochs=2").seconds > 1000


@pytest.mark.parametrize("kind", ["metrics.csv", "events", "last.ckpt", "best.ckpt", "result.json"])
def test_a_file_that_cannot_be_written_fails_the_run_by_name(
    kind: str,
    train_run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line names it and the reason; when there is room again, the run ends as if nothing had been."""
    setting = (*SETTING, "trainer.max_epochs=6")
    train_run("whole", *setting)
    train_run("full", *SETTING, "trainer.max_epochs=3")
    with monkeypatch.context() as patch:
        no_room_for(kind, patch)
        result = train_run("full", *setting)
    assert result.status == "interrupted"
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert kind in line
    assert "can't be written: No space left on device" in line
    train_run("full", *setting)
    assert_same_run(Run(tmp_path / "full"), Run(tmp_path / "whole"))


def no_room_for(kind: str, patch: pytest.MonkeyPatch) -> None:
    """As `writing` begins a file of this kind, from the training on."""

    @contextmanager
    def writing(path: Path) -> Iterator[None]:
        with original(path):
            no_room = armed and kind in path.name
            if no_room and kind != "events":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield
            if no_room:  # only now, as the event file gets closed within
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    original, armed = atomic.writing, []
    for module in (atomic, metrics, events):
        patch.setattr(module, "writing", writing)
    start = Recorder.on_train_start

    def on_train_start(recorder: Recorder, *given: Any) -> None:
        armed.append(True)
        start(recorder, *given)

    patch.setattr(Recorder, "on_train_start", on_train_start)


def test_a_runs_words_are_read_as_they_were_typed(tmp_path: Path) -> None:
    """What one refers to is for the composition to find, not for the file that keeps it."""
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- data.seed=${seed}\n- seed=3\n")
    assert Run(tmp_path).overrides == ["data.seed=${seed}", "seed=3"]
