"""A run of several processes, on one node or more: the run that one process trains, and one that writes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from commands import Forked, free_port, script, start
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver

from simplenn import signals
from simplenn.errors import ConfigError
from simplenn.rank import is_main_process, refuse_other_number
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run
from simplenn.signals import Interrupted
from simplenn.training import processes
from simplenn.training.recorder import Recorder

TWO_NODES = ("trainer.num_nodes=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
MEETING = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0", **MEETING}
SRUN = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2", "SLURM_LOCALID": "0"}


def started(*arguments: str, cwd: Path, **environment: str) -> Forked:
    """A training as a user starts it, with more in its environment; it goes on while the test does."""
    return start("train.py", *arguments, cwd=cwd, environment={**os.environ, **environment})


def together(*arguments: str, cwd: Path, environments: Sequence[dict[str, str]]) -> list[tuple[int | None, str, str]]:
    """Exit status, standard output and standard error of the command in processes that a user starts one by one."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [started(*arguments, cwd=cwd, **{**environment, **meeting}) for environment in environments]
    try:
        ends = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *end) for process, end in zip(processes, ends, strict=True)]


def on_two_nodes(*arguments: str, cwd: Path) -> list[tuple[int | None, str, str]]:
    """The same on each of two nodes, which are both this one."""
    return together(*arguments, cwd=cwd, environments=[{"NODE_RANK": "0"}, {"NODE_RANK": "1"}])


def children(process: Forked) -> list[int]:
    """The ids of the processes that it has started, once there are any."""
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (numbers := listing.read_text().split()):
        assert process.poll() is None
        time.sleep(0.05)
    return list(map(int, numbers))


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """By gloo on the CPU, with batches that don't divide evenly: the epochs and the weights of one process; in a sweep,
    each job's with its own hyperparameters; started by Lightning or by torchrun.
    """
    swept = (
        "-m",
        "trainer.gradient_clip_val=null,1",
        "trainer.accumulate_grad_batches=2",
        "data.num_train=65",
        "data.num_val=32",
    )
    single = ("experiment=post", "seed=1")
    settings = ("trainer.accelerator=cpu", "trainer.max_epochs=2")
    for trainer in ("cpu", "ddp"):
        for arguments in (swept, single):
            words = (*arguments, f"trainer={trainer}", *settings, f"name={trainer}")
            # one of them starts its second process as it does for a user: by the command line that Python was given
            fresh = trainer == "ddp" and arguments == single
            further = 2 if trainer == "ddp" and arguments == swept else 0
            trained = script("train.py", *words, cwd=tmp_path, fresh=fresh, further_ranks=further)
            assert trained.returncode == 0, trained.stdout + trained.stderr
    ranks = [{**TORCHRUN, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    first, second = together(*single, "trainer=ddp", *settings, "name=torchrun", cwd=tmp_path, environments=ranks)
    assert first[0] == 0 and "done after 2 epochs" in first[1], first
    assert second == (0, "", "")
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["runs", "sweeps"]
    runs = tmp_path / "outputs" / "runs"
    for name in ("ddp", "torchrun"):
        assert_nearly_same_run(Run(runs / name), Run(runs / "cpu"))
    for value in ("null", "1"):
        job = f"runs/trainer.gradient_clip_val={value}"
        alone, both = (Run(tmp_path / "outputs" / "sweeps" / trainer / job) for trainer in ("cpu", "ddp"))
        assert_nearly_same_run(both, alone)


def assert_nearly_same_run(run: Run, oracle: Run) -> None:
    """As far as rounding goes: sums over samples are taken in another order."""
    for row, expected in zip(read_rows(run.metrics_file), read_rows(oracle.metrics_file), strict=True):
        assert row == pytest.approx(expected, rel=1e-5)
    weights, expected = (checkpoint.load(r.checkpoint("last"))["state_dict"] for r in (run, oracle))
    assert all(torch.allclose(weights[name], expected[name], rtol=1e-5) for name in expected)


def test_two_nodes_train_as_one_process_does(tmp_path: Path) -> None:
    """One process writes and speaks; a resume, too, is in step."""
    words = ("name=x", "data.num_train=65", "data.num_val=32")
    (tmp_path / "alone").mkdir()
    alone = script("train.py", *words, "trainer=cpu", "trainer.max_epochs=3", cwd=tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    first, second = on_two_nodes(*words, *TWO_NODES, "trainer.max_epochs=2", cwd=tmp_path)
    assert first[0] == 0, first
    assert "done after 2 epochs" in first[1]
    assert second == (0, "", "")
    first, second = on_two_nodes("name=x", "resume=true", "trainer.max_epochs=3", cwd=tmp_path)
    assert first[0] == 0, first
    assert "done after 3 epochs" in first[1]
    assert second == (0, "", "")
    run, oracle = (Run(folder / "outputs" / "runs" / "x") for folder in (tmp_path, tmp_path / "alone"))
    assert_nearly_same_run(run, oracle)
    assert [path.name for path in run.directory.parent.iterdir()] == ["x"]
    names, expected = (
        {str(path.relative_to(r.directory)).partition("tfevents")[0] for path in r.directory.rglob("*")}
        for r in (run, oracle)
    )
    assert names == expected
    log = (run.directory / "train.log").read_text()
    assert log.count("done after") == 2
    second_node = started(*words, *TWO_NODES, cwd=tmp_path, NODE_RANK="1", **MEETING)
    assert "name must be new, got 'x'" in second_node.communicate(timeout=300)[1]
    assert second_node.returncode == 2


@pytest.mark.parametrize(
    ("environment", "words", "message"),
    [
        ({"NODE_RANK": "0", **MEETING}, TWO_NODES, "must say where they meet, got no name; try name=first_try"),
        ({"NODE_RANK": "1", **MEETING}, ("-m", "seed=1,2", *TWO_NODES, "name=x"), "a sweep must be one command"),
        ({"NODE_RANK": "1", **MEETING}, ("-m", "trainer.num_nodes=1,2", "name=x"), "a sweep must be one command"),
        ({"NODE_RANK": "0"}, (*TWO_NODES, "name=x"), "needs NODE_RANK, MASTER_ADDR, MASTER_PORT in the environment"),
    ],
)
def test_commands_that_cannot_meet_are_refused(
    environment: dict[str, str], words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """In one line, before any work."""
    process = started(*words, "trainer.accelerator=cpu", cwd=tmp_path, **environment)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (2, ""), err
    (line,) = err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "settings", "message"),
    [
        ({"NODE_RANK": "2", **MEETING}, {"num_nodes": 2}, "NODE_RANK must be a number below trainer.num_nodes=2"),
        ({"NODE_RANK": "1"}, {"devices": 2}, "NODE_RANK must be a number below trainer.num_nodes=1"),
        (TORCHRUN, {}, "must be the 2 processes that torchrun starts, got 1"),
        (SRUN, {"devices": 3}, "must be the 2 processes that srun starts, got 3"),
    ],
)
def test_another_number_of_processes_than_awaited_is_refused(
    environment: dict[str, str], settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        refuse_other_number(settings, settings.get("devices", 1) * settings.get("num_nodes", 1))


@pytest.mark.parametrize(
    ("environment", "settings", "main"),
    [
        ({}, {"devices": 2}, True),
        ({"LOCAL_RANK": "1"}, {"devices": 2}, False),
        ({"NODE_RANK": "1"}, {"num_nodes": 2}, False),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, {"devices": 2, "num_nodes": 2}, False),
        ({"NODE_RANK": "1"}, {"devices": 1, "num_nodes": 1}, True),  # what some clusters set for any job
        ({"RANK": "0", "NODE_RANK": "1", **TORCHRUN}, {"num_nodes": 2}, True),
        ({"RANK": "1", "GROUP_RANK": "1", **TORCHRUN}, {"num_nodes": 2}, False),
        ({"SLURM_PROCID": "1", **SRUN}, {"num_nodes": 2}, False),
        ({"SLURM_PROCID": "1", **SRUN}, {}, True),  # a run for each task
        ({"SLURM_PROCID": "1", "SLURM_JOB_NAME": "bash", **SRUN}, {"devices": 2}, True),
    ],
)
def test_the_main_process_is_the_one_of_global_rank_0(
    environment: dict[str, str], settings: dict[str, Any], main: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variables that Lightning goes by; a run of one process is its own main process."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_main_process(settings) is main


@pytest.mark.parametrize("seconds", [0, 0.3, 3])
def test_a_process_ends_with_the_one_that_has_started_it(seconds: float, tmp_path: Path) -> None:
    """Which is killed while the other starts, imports, meets it or trains."""
    settings = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=100000", "name=x")
    process = started(*settings, cwd=tmp_path)
    try:
        (child,) = children(process)
        time.sleep(seconds)
    finally:
        process.kill()
    killed = time.monotonic()
    while is_alive(child):
        assert time.monotonic() < killed + 5
        time.sleep(0.05)
    process.communicate(timeout=60)


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_process_whose_parent_is_dead_before_it_looks_ends_at_once() -> None:
    code = "from simplenn.rank import end_with_parent; end_with_parent(2**22 + 1); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_process_that_dies_before_it_meets_the_others_is_told_of() -> None:
    """By Lightning's own watch it would end this process too, by SIGKILL."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        process.kill()
        processes._lost.clear()
        with pytest.raises(processes.ProcessLost, match=f"process {process.pid}, of local rank 1, ended by SIGKILL"):
            processes._Watch(Path(folder), lambda lost: 1).start([process])
        processes._lost.clear()


def test_a_process_that_is_killed_ends_the_run_in_one_line(tmp_path: Path) -> None:
    """With status 1, without a traceback. Until then it trains by the configuration that the main one has resolved."""
    # a value that only this command's process can compute: the other one is given it
    computed = "from omegaconf import OmegaConf; OmegaConf.register_new_resolver('own', lambda: 0.01)"
    words = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=100000", "optimizer.lr=${own:}", "name=x")
    process = start("train.py", *words, cwd=tmp_path, prelude=computed)
    run = Run(tmp_path / "outputs" / "runs" / "x")
    try:
        while not run.metrics_file.exists():
            assert process.poll() is None
            time.sleep(0.1)
        (child,) = children(process)
        os.kill(child, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    line = f"another process of the run has ended: process {child}, of local rank 1, ended by SIGKILL"
    assert (process.returncode, err) == (1, "")
    assert out.count(line) == 1 and "resume=true" in out
    assert "Traceback" not in out
    result = run.result()
    assert result is not None
    assert (result.status, result.message) == ("failed", line)


def test_an_error_that_a_signal_brings_is_the_signal(
    train_run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C goes to every process of a run, and one may learn of another's end before its own."""

    def on_train_batch_end(recorder: Recorder, *given: Any) -> None:
        signals._received.append(signal.SIGINT)
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")

    monkeypatch.setattr(signals, "_received", [])
    monkeypatch.setattr(Recorder, "on_train_batch_end", on_train_batch_end)
    with pytest.raises(Interrupted):
        train_run("run", "data.num_train=32", "data.num_val=32", "trainer.max_epochs=2")
    result = Run(tmp_path / "run").result()
    assert result is not None
    assert result.status == "interrupted"


def test_a_failed_job_does_not_end_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's watch over the processes that it has started, which kills the main one too, has none left to find."""
    waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    launcher = SimpleNamespace(procs=[waiting])
    watch = _ChildProcessObserver(os.getpid(), launcher.procs)
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(launcher=launcher), is_global_zero=True)
    module: Any = None
    Recorder(Run(tmp_path), "").on_exception(trainer, module, RuntimeError())
    assert waiting.returncode == -signal.SIGKILL
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda number, signum: killed.append(number))
    assert watch._run() is True
    assert killed == []
