"""How far a run or a sweep is: a bar on a terminal, lines elsewhere."""

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any

import pytest
import rich
import torch

from simplenn.rundir.result import Result
from simplenn.training.progress import EpochLines, SweepProgress

SETTING = ("quiet=false", "data.num_train=32", "data.num_val=32", "trainer.max_epochs=20")
LINE = re.compile(r"Epoch \[(\d+)/20\], Loss: \d+\.\d{4}, Val loss: \d+\.\d{4}")


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """What rich writes to its console, which takes itself for a terminal."""
    console, written = rich.get_console(), io.StringIO()
    before = dict(vars(console))
    rich.reconfigure(file=written, force_terminal=True, width=120)
    yield written
    vars(console).clear()
    vars(console).update(before)


def shown(terminal: io.StringIO) -> str:
    """The last state of the bar, without what colours it."""
    return re.sub(r"\x1b\[[\d;?]*\w", "", terminal.getvalue()).strip().splitlines()[-1]


def seen(terminal: io.StringIO) -> str:
    """What stands on the last line, once what was erased is gone."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue().rpartition("\x1b[2K")[2]).strip()


def test_a_run_has_lines_where_there_is_no_terminal(
    train_run: Callable[..., Result], terminal: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """One every tenth of the epochs."""
    train_run("run", *SETTING)
    found = [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert [match[1] for match in found if match] == [str(epoch) for epoch in range(2, 21, 2)]
    assert len(found) == 10 and terminal.getvalue() == ""


@pytest.mark.parametrize("style", ["bar", "auto"])
def test_a_run_has_a_bar_on_a_terminal(
    style: str,
    train_run: Callable[..., Result],
    terminal: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends with all epochs and the last losses; a resumed run's begins where the run was."""
    if style == "auto":
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    train_run("run", *SETTING, f"progress={style}", "trainer.max_epochs=3")
    result = train_run("run", *SETTING, f"progress={style}", "trainer.max_epochs=5")
    losses = f"Loss: {result.metrics['train/loss']:.4f}, Val loss: {result.metrics['val/loss']:.4f}"
    assert re.fullmatch(rf"Epoch 5/5 \S+ {losses} 0:00:00", shown(terminal))
    assert "Epoch 3/5" in re.sub(r"\x1b\[[\d;?]*\w", "", terminal.getvalue())
    assert "Epoch [" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        (62.46376, "62.4638"),
        (0.0, "0.0000"),
        (0.0012345, "0.0012"),
        (1.23456e-5, "1.235e-05"),
        (3.098717642e29, "3.099e+29"),
        (999999.5, "999999.5000"),
        (float("inf"), "inf"),
    ],
)
def test_a_loss_of_any_size_says_something(loss: float, shown: str) -> None:
    """Four decimals as in the tutorial, unless the loss is too small or too large for them."""
    trainer: Any = SimpleNamespace(current_epoch=0, check_val_every_n_epoch=1, max_epochs=1, is_global_zero=True)
    trainer.callback_metrics = {"train/loss": torch.tensor(loss, dtype=torch.float64)}
    lines = io.StringIO()
    with redirect_stdout(lines):
        EpochLines().on_train_epoch_end(trainer, trainer)
    assert lines.getvalue() == f"Epoch [1/1], Loss: {shown}\n"


def test_quiet_and_none_show_nothing(
    train_run: Callable[..., Result], terminal: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    train_run("run", *SETTING, "progress=none", "trainer.max_epochs=2")
    assert (terminal.getvalue(), capsys.readouterr().out) == ("", "")


class Stack:
    """A stack in training, as its callbacks see it: each of its runs' losses is the epoch's number."""

    def __init__(self, progress: SweepProgress, num_runs: int, num_epochs: int, begins_after: int = 0) -> None:
        self.progress, self.epochs = progress, range(begins_after, num_epochs)
        self.trainer: Any = SimpleNamespace(
            max_epochs=num_epochs, current_epoch=begins_after, check_val_every_n_epoch=1, is_global_zero=True
        )
        self.module: Any = SimpleNamespace(num_runs=num_runs)

    def train(self, fails_after: int | None = None) -> None:
        self.progress.on_train_start(self.trainer, self.module)
        for epoch in self.epochs:
            if epoch == fails_after:
                self.progress.on_exception(self.trainer, self.module, MemoryError())
                return
            self.trainer.current_epoch = epoch
            self.trainer.callback_metrics = {"train/loss": torch.tensor(epoch + 1.0)}
            self.progress.on_train_epoch_end(self.trainer, self.module)
        self.progress.on_train_end(self.trainer, self.module)


def percents(lines: list[str]) -> list[int]:
    return [int(line[len("Sweep [") :].split()[0]) for line in lines]


def test_a_sweep_has_lines_over_all_of_its_stacks(capsys: pytest.CaptureFixture[str]) -> None:
    """One at each tenth of all runs' epochs together, those of a second group's shorter runs too."""
    progress = SweepProgress("lines")
    progress.expect(6, 6 * 10)
    progress.expect(10, 10 * 4)
    Stack(progress, 6, 10).train()
    Stack(progress, 10, 4).train()
    progress.close()
    lines = capsys.readouterr().out.splitlines()
    assert percents(lines) == [12, 24, 30, 42, 54, 60, 70, 80, 90, 100]
    assert lines[0] == "Sweep [12 %] 0 of 16 runs trained; stack 1 (6 runs), epoch 2/10: median Loss: 2.0000"
    assert lines[-1] == "Sweep [100 %] 16 of 16 runs trained; stack 2 (10 runs), epoch 4/4: median Loss: 4.0000"


@pytest.mark.parametrize("begins_after", [0, 6])
def test_what_a_stack_goes_on_from_counts_as_done(begins_after: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One that failed, in halves from its last epoch or from the beginning, or one of an earlier command: the sweep
    ends at its end, and no line comes twice."""
    progress = SweepProgress("lines")
    progress.expect(8, 8 * 10)
    Stack(progress, 4, 10).train(fails_after=6)
    Stack(progress, 2, 10, begins_after).train()
    Stack(progress, 2, 10, begins_after).train()
    Stack(progress, 4, 10, begins_after).train()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Sweep [100 %] 8 of 8 runs trained; stack 4 (4 runs), epoch 10/10: median Loss: 10.0000"
    assert percents(lines) == sorted(set(percents(lines)))


def test_the_bar_says_where_the_sweep_is_and_leaves_no_trace(terminal: io.StringIO) -> None:
    """On 80 columns; between two stacks, and once the sweep has been interrupted, the line is empty, as others write
    to the terminal then."""
    rich.reconfigure(file=terminal, force_terminal=True, width=80)
    progress = SweepProgress("bar")
    progress.expect(2000, 2000 * 10)
    Stack(progress, 1000, 10).train()
    assert seen(terminal) == ""
    stack = Stack(progress, 1000, 10)
    stack.train(fails_after=5)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    drawn = re.findall(r"Sweep[^\r\n]*", plain)
    assert drawn and max(map(len, drawn)) <= 80, drawn
    assert any(re.match(r"Sweep \S+ +\d+% stack 2, epoch 5/10: median Loss: 5.0000", line) for line in drawn), drawn
    assert seen(terminal) == ""
