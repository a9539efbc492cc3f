"""A signal ends a command by the status that a shell expects, whenever it comes; what has begun comes to an end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import ROOT

from simplenn import signals
from simplenn.signals import Interrupted


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signals as a script has them that has just begun its work."""

    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    for name, value in {"_received": [], "_since": 0.0, "_depth": 0, "_working": True}.items():
        monkeypatch.setattr(signals, name, value)
    before = {signum: signal.signal(signum, signal.SIG_DFL) for signum in signals.SIGNALS}
    signals.install()
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def arrive(signum: int, after: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal, so many seconds after the first one."""
    at = signals._since + after
    monkeypatch.setattr(time, "monotonic", lambda: at)
    signal.raise_signal(signum)


@pytest.mark.usefixtures("fresh")
def test_second_signal_within_a_second_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that come together are one, of whatever kind; a later one ends the process at once, by the first's status."""
    with pytest.raises(Interrupted) as first:
        signal.raise_signal(signal.SIGINT)
    assert first.value.code == 130
    arrive(signal.SIGINT, 0.01, monkeypatch)
    arrive(signal.SIGTERM, 0.9, monkeypatch)
    with pytest.raises(Ended, match="130"):
        arrive(signal.SIGTERM, 1.1, monkeypatch)


@pytest.mark.usefixtures("fresh")
def test_deferred_signal_waits_for_the_outermost_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """But the user's second one doesn't wait."""
    steps = []

    def work() -> None:
        with signals.deferred():
            with signals.deferred():
                signal.raise_signal(signal.SIGTERM)
                steps.append("inner")
            steps.append("outer")

    with pytest.raises(Interrupted):
        work()
    assert steps == ["inner", "outer"]
    with pytest.raises(Ended, match="143"), signals.deferred():
        arrive(signal.SIGTERM, 2, monkeypatch)


@pytest.mark.usefixtures("fresh")
def test_signal_before_and_after_the_work_ends_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """In a line: there is nothing to bring to an end, and no exception comes out of the middle of an import."""
    signals.end_work()
    with pytest.raises(Ended, match="129"):
        signal.raise_signal(signal.SIGHUP)
    assert capfd.readouterr().err == "interrupted by SIGHUP\n"
    signals.begin_work()
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGHUP)


@pytest.mark.usefixtures("fresh")
def test_hangup_that_is_ignored_stays_so() -> None:
    """`nohup python scripts/train.py` outlives its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.install()
    signal.raise_signal(signal.SIGHUP)


COMMANDS = (
    ("name=run{}", "trainer.max_epochs=1000000"),
    ("-m", "seed=range(3)", "name=run{}", "trainer.max_epochs=1000000", "hydra/launcher=basic"),
)


def killed(number: int, folder: Path) -> tuple[int, int, str]:
    """A signal's number, and the status and the standard error of a command that got it, or got it twice."""
    draw = random.Random(number)
    signum = draw.choice(signals.SIGNALS)
    words = [word.format(number) for word in COMMANDS[number % 2]]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words, "quiet=true"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not _catches(process.pid, signal.SIGTERM):  # what comes before our first line is Python's own
            time.sleep(0.005)
        time.sleep(draw.choice([draw.uniform(0, 0.5), draw.uniform(0.5, 5)]))
        process.send_signal(signum)
        if draw.random() < 0.5:
            time.sleep(0.01)
            process.send_signal(signum)
        try:
            _, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return signum, process.returncode, err


def _catches(pid: int, signum: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(caught >> (signum - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, to know when a handler is set")
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.battery)])
def test_signal_at_any_moment_ends_by_its_status(count: int, tmp_path: Path) -> None:
    """While Python imports, Hydra composes, torch loads, or a run trains: the status, no traceback, and a second signal
    right behind the first changes nothing."""
    with ThreadPoolExecutor(3) as pool:
        for signum, status, err in pool.map(lambda number: killed(number, tmp_path), range(count)):
            assert status == 128 + signum, err
            assert not any(word in err for word in ("Traceback", "Fatal", "Aborted", "terminate")), err
