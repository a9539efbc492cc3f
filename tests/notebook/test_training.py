"""`simplenn.train` trains what the command trains: the same files, the same numbers, the same refusals."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import FORKING, PIPES, popen
from conftest import script

import simplenn
from simplenn.errors import ConfigError, TrainingFailed
from simplenn.notebook import training
from simplenn.rundir.metrics import read_rows

QUICK = ("trainer=cpu", "trainer.max_epochs=2", "data.num_train=64")


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a directory of its own; the command in a process that has imported what it needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "subprocess", FORKING)


def test_a_run_is_the_one_that_the_command_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File by file, number by number; what is printed is the same."""
    run: Any = simplenn.train([*QUICK, "seed=7", "name=python"])
    printed = capsys.readouterr()
    done = script("train.py", *QUICK, "seed=7", "name=command", cwd=tmp_path)
    assert printed.out.splitlines()[:2] == done.stdout.splitlines()[:2] and not printed.err
    assert run.directory == Path("outputs/runs/python") and Path(run) == run.directory
    files = [
        {path.relative_to(directory) for path in directory.rglob("*") if "tfevents" not in path.name}
        for directory in (run.directory, Path("outputs/runs/command"))
    ]
    assert files[0] == files[1]
    command = Path("outputs/runs/command/metrics.csv")
    assert run.curves.to_dicts() == read_rows(command)
    assert (run.status, run.epoch) == ("done", 2)
    assert run.metrics["val/loss"] == run.curves["val/loss"][-1]
    assert repr(run).startswith("TrainedRun('outputs/runs/python': done after epoch 2, train/loss ")
    assert run.load()([1, 2, 3]) == simplenn.load_run("outputs/runs/command")([1, 2, 3])


def test_a_finished_run_is_given_back(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """First by a command that starts afresh, as a notebook's does."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "subprocess", subprocess)
        simplenn.train([*QUICK, "name=a"], show=False)
    assert capsys.readouterr() == ("", "")
    again: Any = simplenn.train("name=a resume=true")
    assert again.epoch == 2
    assert "nothing to do" in capsys.readouterr().out


def test_a_sweep_is_given_as_one() -> None:
    """Also where runs diverge, and where nothing is left to train."""
    words = ["-m", "experiment=post", *QUICK[:2], "optimizer.lr=0.01,1e20", "seed=1,2", "name=s"]
    for _ in range(2):
        sweep = simplenn.train(words, show=False)
        assert isinstance(sweep, simplenn.Sweep) and sweep.path == Path("outputs/sweeps/s")
        assert sorted(sweep.results["status"]) == ["diverged", "diverged", "done", "done"]


def test_the_best_setting_of_a_sweep_trains_alone() -> None:
    """Its overrides give the run that has the median, to the bit."""
    sweep: Any = simplenn.train(["-m", "experiment=post", *QUICK[:2], "optimizer.lr=0.01,0.003", "seed=range(3)"])
    best = sweep.best()
    run: Any = simplenn.train([*best.overrides, "name=alone"], show=False)
    assert run.metrics["train/loss"] == best.median
    seed = best.runs.filter(best.runs["train/loss"] == best.median)["seed"][0]
    assert run.result.seed == seed and run.load().config["optimizer"]["lr"] == best.values["optimizer.lr"]


def test_a_run_that_diverges_is_a_result() -> None:
    run = simplenn.train([*QUICK, "optimizer.lr=1e9"], show=False)
    assert isinstance(run, simplenn.TrainedRun) and run.status == "diverged" and run.directory.is_dir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer.lr=abc"], "optimizer.lr must be a positive number, got 'abc'; try optimizer.lr=0.01"),
        ("optimizer=nope", "optimizer must be one of adagrad, adam, adamw, rmsprop, sgd, got 'nope'"),
        (["--cfg=job"], "train takes overrides such as 'optimizer=adam', and '-m' for a sweep, got '--cfg=job'"),
        ([3], "train takes overrides such as 'optimizer=adam', and '-m' for a sweep, got 3"),
    ],
)
def test_what_the_command_refuses_is_an_exception_of_one_line(
    words: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is not printed as well."""
    with pytest.raises(ConfigError) as refusal:
        simplenn.train(words)
    assert str(refusal.value) == message
    assert capsys.readouterr() == ("", "") and not Path("outputs").exists()


def test_a_run_that_fails_says_why_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a sweep is counted."""
    Path("broken.py").write_text(
        "from simplenn.network import SimpleNN\n"
        "class Net(SimpleNN):\n"
        "    def forward(self, x):\n"
        "        if self.training:\n"
        "            raise RuntimeError('no, thanks')\n"
        "        return super().forward(x)\n"
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    own = ["model._target_=broken.Net", "allow=[broken]", *QUICK]
    with pytest.raises(TrainingFailed, match=r"^outputs/runs/a is failed: RuntimeError: no, thanks$"):
        simplenn.train([*own, "name=a"], show=False)
    with pytest.raises(TrainingFailed, match=r"^of 2 runs, 2 failed; simplenn\.Sweep\('outputs/sweeps/s'\) has them$"):
        simplenn.train(["-m", *own, "seed=1,2", "name=s"], show=False)


def test_an_interrupt_ends_the_run_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is written down as interrupted, and the interrupt goes on as one of Python's."""
    started: list[Any] = []

    def interrupted(*command: Any, **kind: Any) -> Any:
        process = popen(*command, **kind)
        started.append(process)
        threading.Timer(0.2, interrupt_once_trained).start()
        return process

    def interrupt_once_trained() -> None:
        while not Path("outputs/runs/a/metrics.csv").exists() and started[0].poll() is None:
            pass
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training, "subprocess", SimpleNamespace(Popen=interrupted, **PIPES))
    with pytest.raises(KeyboardInterrupt):
        simplenn.train(["trainer=cpu", "trainer.max_epochs=100000", "name=a", "progress=none"], show=False)
    assert '"interrupted"' in Path("outputs/runs/a/result.json").read_text()


def test_importing_simplenn_imports_neither_torch_nor_polars() -> None:
    """Nor do the names for notebooks, until they are used; each of them is there, and no other."""
    code = (
        "import sys, simplenn; assert set(simplenn.__all__) <= set(dir(simplenn))\n"
        "assert not {'torch', 'polars', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules)\n"
        "simplenn.Sweep, simplenn.train, simplenn.ConfigError\n"
        "assert not {'torch', 'polars', 'lightning'} & set(sys.modules)\n"
        "try: simplenn.sweeep\n"
        "except AttributeError as error: assert 'sweeep' in str(error)\n"
        "else: raise AssertionError\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(simplenn.NAMES) == set(simplenn.__all__)
    assert all(getattr(simplenn, name).__name__ == name for name in simplenn.__all__)
