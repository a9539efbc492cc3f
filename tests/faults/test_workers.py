"""A sweep by joblib of which a process is killed or signalled: what is left running, what is kept, and who goes on."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from commands import Forked, script, start
from trees import differences, tree

pytestmark = pytest.mark.battery
WORDS = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "trainer=cpu", "name=x")


def begun(tmp_path: Path, *more: str) -> tuple[Forked, list[int]]:
    """The command and its workers, once they train."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    process = start("train.py", *WORDS, *more, cwd=tmp_path)
    try:
        while len(list(tmp_path.glob("outputs/sweeps/x/runs/*/metrics.csv"))) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        numbers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [int(n) for n in numbers if b"LokyProcess" in Path(f"/proc/{n}/cmdline").read_bytes()]
        assert len(workers) == 2
    except BaseException:
        process.kill()
        raise
    return process, workers


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_command(signum: signal.Signals, tmp_path: Path) -> None:
    """Within 5 seconds."""
    process, workers = begun(tmp_path, "seed=1,2", "trainer.max_epochs=100000")
    process.send_signal(signum)
    sent = time.monotonic()
    status = process.wait(timeout=120)
    deadline = max(sent, time.monotonic()) + 5
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.communicate(timeout=60)
    assert status == (-signum if signum == signal.SIGKILL else 128 + signum)


def test_a_killed_worker_costs_no_run(tmp_path: Path) -> None:
    process, workers = begun(tmp_path, "seed=1,2,3", "trainer.max_epochs=300")
    os.kill(workers[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    results = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/x/runs/*/result.json")]
    assert [result["status"] for result in results] == ["done"] * 3
    assert "are tried once more" in out and "Traceback" not in out + err


@pytest.mark.parametrize(("first", "second"), [("vectorized", "joblib"), ("joblib", "vectorized")])
def test_joblib_finishes_what_another_began_and_the_other_way_round(first: str, second: str, tmp_path: Path) -> None:
    """Wider and longer: each run's directory is as if the second had trained it from its beginning."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ("experiment=post", "trainer=cpu", "optimizer=sgd,adam", "name=x", "run_dirs=all")

    def sweep(cwd: Path, *more: str) -> str:
        cwd.mkdir(exist_ok=True)
        done = script("train.py", "-m", *words, *more, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    sweep(tmp_path / "grown", "seed=1,2", "trainer.max_epochs=3", f"hydra/launcher={first}")
    said = sweep(tmp_path / "grown", "seed=1,2,3", "trainer.max_epochs=5", f"hydra/launcher={second}")
    assert "0 of 6 done, 6 to train, of which 4 go on from where they are" in said
    sweep(tmp_path / "once", "seed=1,2,3", "trainer.max_epochs=5", f"hydra/launcher={second}")
    grown, once = (tree(tmp_path / name / "outputs" / "sweeps" / "x" / "runs") for name in ("grown", "once"))
    assert grown.keys() == once.keys()
    assert not [name for name in differences(grown, once) if not name.endswith((".yaml", "train.log"))]
