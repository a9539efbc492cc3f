"""Sweeps trained by Dask's workers: the numbers that they have in process, whatever happens to the workers."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars
import pytest
import torch
from commands import ROOT, Forked, script, start
from dask_processes import Cluster, children_of, wait_for_end
from safetensors.torch import load_file
from trees import differences, tree

pytest.importorskip("distributed")

NAME = Path("outputs") / "sweeps" / "x"
SMALL = ("experiment=post", "trainer=cpu", "trainer.max_epochs=30", "name=x", "progress=none")
GRID = ("optimizer=sgd,adam", "optimizer.lr=0.01,1e4", "seed=range(2)")
LONG = ("experiment=post", "trainer=cpu", "trainer.max_epochs=200", "name=x", "optimizer=sgd,adam", "seed=range(4)")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        for name in "ab":
            cluster.start_worker(name)
        yield cluster
    finally:
        cluster.close()


def by(cluster: Cluster, *more: str) -> tuple[str, ...]:
    return ("-m", "hydra/launcher=dask", f"hydra.launcher.address={cluster.address}", *more)


def numbers(sweep: Path) -> dict[str, Any]:
    """To the bit: each run's row of the tables, its curves, its last and best weights, its optimizer's state."""
    found: dict[str, Any] = {"results.csv": (sweep / "results.csv").read_bytes()}
    for part in sorted((sweep / "stacks").glob("[0-9]*")):
        tensors = {**load_file(part / "weights.safetensors"), **load_file(part / "checkpoints.safetensors")}
        curves = polars.read_parquet(part / "curves.parquet")
        first = 0
        for run, row in enumerate(polars.read_parquet(part / "runs.parquet").iter_rows(named=True)):
            own = curves[first : first + row["num_rows"]].write_csv()
            first += row["num_rows"]
            states = {name: tensor[run].numpy().tobytes() for name, tensor in tensors.items()}
            found[row["run"]] = row["identity"], row["status"], own, states
    for file in sorted((sweep / "runs").glob("*/metrics.csv")):
        found[f"alone {file.parent.name}"] = file.read_text()
    return found


def trained(cwd: Path, *words: str, status: int = 0) -> str:
    cwd.mkdir(exist_ok=True)
    done = script("train.py", *words, cwd=cwd)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The numbers of `LONG`, trained in process."""
    folder = tmp_path_factory.mktemp("whole")
    trained(folder, "-m", *LONG, "progress=none")
    return numbers(folder / NAME)


def begun(cwd: Path, *words: str) -> Forked:
    """A command whose stacks train."""
    process = start("train.py", *words, cwd=cwd)
    for line in process.stdout:
        if line.startswith("Sweep ["):
            return process
    raise AssertionError(process.communicate())


def test_the_numbers_are_those_of_one_process(cluster: Cluster, tmp_path: Path) -> None:
    """Bit for bit, however the runs are cut and launched, and of runs that diverge."""
    words = (*SMALL, *GRID)
    trained(tmp_path / "alone", "-m", *words, status=1)
    printed = trained(tmp_path / "there", *by(cluster, *words, "hydra.sweeper.max_batch_size=6"), status=1)
    assert "8 runs: 6 done, 2 diverged" in printed
    assert numbers(tmp_path / "there" / NAME) == numbers(tmp_path / "alone" / NAME)
    parts = [len(list((tmp_path / place / NAME / "stacks").iterdir())) for place in ("alone", "there")]
    assert parts == [2, 5]


def test_compiled_stacks_have_the_numbers_of_torchs_kernels(cluster: Cluster, tmp_path: Path) -> None:
    """Which are known of one kind of processor; elsewhere they are close, and `trainer.compile=auto` leaves them."""
    if torch.backends.cpu.get_cpu_capability() != "AVX2" or not torch.backends.mkl.is_available():
        pytest.skip("torch's kernels are not known of this processor")
    words = ("data=sum", "data.num_train=40", "trainer=cpu", "trainer.max_epochs=5", "name=x", "progress=none", *GRID)
    trained(tmp_path / "kernels", "-m", *words, "trainer.compile=false", status=1)  # some diverge
    trained(tmp_path / "workers", *by(cluster, *words, "trainer.compile=true"), status=1)
    trained(tmp_path / "process", "-m", *words, "trainer.compile=true", status=1)
    kernels = numbers(tmp_path / "kernels" / NAME)
    assert numbers(tmp_path / "workers" / NAME) == kernels == numbers(tmp_path / "process" / NAME)


def test_runs_that_do_not_stack_have_the_directories_of_one_process(cluster: Cluster, tmp_path: Path) -> None:
    """One of them diverges."""
    words = (*SMALL, "++trainer.accumulate_grad_batches=2", "optimizer.lr=0.01,1e4", "seed=1,2")
    trained(tmp_path / "alone", "-m", *words, status=1)
    printed = trained(tmp_path / "there", *by(cluster, *words), status=1)
    assert "one by one: trainer.accumulate_grad_batches=2" in printed and "2 done, 2 diverged" in printed
    one, other = tree(tmp_path / "there" / NAME), tree(tmp_path / "alone" / NAME)
    found = differences(one, other)
    assert {name.rpartition("/")[2] for name in found} <= {"hydra.yaml", "multirun.yaml"}, found


def test_a_killed_worker_costs_its_stack_a_restart(cluster: Cluster, whole: dict[str, Any], tmp_path: Path) -> None:
    process = begun(tmp_path, *by(cluster, *LONG))
    nanny = cluster.processes[1].pid
    os.kill(children_of(nanny)[-1], signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert numbers(tmp_path / NAME) == whole


def test_a_stack_that_kills_its_workers_fails_alone(tmp_path: Path) -> None:
    """It is tried twice."""
    (tmp_path / "conf" / "model").mkdir(parents=True)
    file = tmp_path / "conf" / "model" / "deadly.yaml"
    file.write_text("_target_: deadly.Deadly\nnum_features: ${data.num_features}\n")
    places = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    words = (*SMALL, "model=deadly,simple", "seed=1,2,3", "allow=[deadly]", "--config-dir=conf")
    words = ("-m", "hydra/launcher=dask", "hydra.launcher.workers=2", *words)
    done = script("train.py", *words, cwd=tmp_path, environment={**os.environ, "PYTHONPATH": places})
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert "6 runs: 3 done, 3 failed" in done.stdout and "was killed twice" in done.stdout, done.stdout + done.stderr
    results = polars.read_csv(tmp_path / NAME / "results.csv")
    assert dict(results.select("model", "status").iter_rows()) == {"deadly": "failed", "simple": "done"}


@pytest.mark.battery
def test_a_worker_of_other_code_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    file = tmp_path / "src" / "simplenn" / "metric.py"
    file.write_text(file.read_text() + "# changed\n")
    worker = cluster.start_worker("other", {**os.environ, "PYTHONPATH": str(tmp_path / "src")})
    try:
        deadline = time.monotonic() + 60
        while "Registered to" not in cluster.log("other"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        printed = trained(tmp_path, *by(cluster, *SMALL, "seed=1,2"), status=2)
        assert printed.count("\n") == 1 and "must have the command's versions, got the code of simplenn" in printed
        assert not (tmp_path / "outputs").exists()
    finally:
        worker.terminate()
        worker.wait(20)


@pytest.mark.battery
def test_a_lost_scheduler_leaves_a_sweep_to_go_on_with(cluster: Cluster, whole: dict[str, Any], tmp_path: Path) -> None:
    """The last of those that need the cluster: it ends it."""
    process = begun(tmp_path, *by(cluster, *LONG))
    cluster.scheduler.kill()
    killed = time.monotonic()
    out, err = process.communicate()
    assert time.monotonic() - killed < 15
    assert process.returncode == 1 and "Traceback" not in out + err, out + err
    assert (
        "scheduler has ended" in out + err
        and f"go on with: python {ROOT}/scripts/train.py -m name=x resume=true" in out
    )
    trained(tmp_path, "-m", "name=x", "resume=true", "hydra/launcher=vectorized", "progress=none")
    assert numbers(tmp_path / NAME) == whole


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.battery),
        pytest.param(signal.SIGKILL, marks=pytest.mark.battery),
    ],
)
def test_no_worker_outlives_the_command(signum: signal.Signals, whole: dict[str, Any], tmp_path: Path) -> None:
    """By more than five seconds; the sweep goes on by another launcher, and after a signal from where it was."""
    process = begun(tmp_path, "-m", "hydra/launcher=dask", "hydra.launcher.workers=2", *LONG)
    own = children_of(process.pid)  # the process that the workers are forked from, which ends with the command
    workers = [worker for child in own for worker in children_of(child)]
    assert len(workers) == 2
    process.send_signal(signum)
    assert wait_for_end(workers, 5) == []
    out, err = process.communicate()
    assert wait_for_end(own, 5) == []
    assert process.returncode == (-signum if signum == signal.SIGKILL else 128 + signum), out + err
    assert "Traceback" not in out + err, out + err
    if signum != signal.SIGKILL:
        assert f"go on with: python {ROOT}/scripts/train.py -m name=x resume=true" in out
        assert list((tmp_path / NAME / "stacks").glob("*-unfinished"))
    trained(tmp_path, "-m", "name=x", "resume=true", "hydra/launcher=vectorized", "progress=none")
    assert numbers(tmp_path / NAME) == whole


def test_a_worker_keeps_within_its_memory(tmp_path: Path) -> None:
    """Its stacks are as small as that takes; Dask would kill it otherwise."""
    large = ("data=sum", "data.num_train=2560", "data.batch_size=null", "model.hidden=512")
    words = (*large, "trainer=cpu", "trainer.max_epochs=1", "seed=range(60)", "name=x", "progress=none")
    limited = ("hydra/launcher=dask", "hydra.launcher.workers=1", "hydra.launcher.memory_limit=1GiB")
    printed = trained(tmp_path, "-m", *limited, *words, "run_dirs=none")
    assert "60 runs: 60 done" in printed
    assert len(list((tmp_path / NAME / "stacks").iterdir())) > 2  # of which there would be two for a worker
