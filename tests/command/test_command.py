"""Whole commands, as a user types them: directories, signals, sweeps, evaluation, prediction."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from commands import ROOT, Forked, script, start

from simplenn.command.directory import reserve
from simplenn.errors import ConfigError
from simplenn.planning import as_text
from simplenn.rundir.events import event_files, read_events
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.run import Run

SMALL = ("data.num_train=32", "data.num_val=32")  # a step an epoch
FILES = {
    ".hydra/config.yaml",
    ".hydra/hydra.yaml",
    ".hydra/overrides.yaml",
    ".hydra/sha256sums",
    "train.log",
    "metrics.csv",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "result.json",
}


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_a_run_leaves_just_its_files_and_is_read_back(tmp_path: Path) -> None:
    """Train, resume, evaluate, predict: one directory, and nothing beside it."""
    arguments = (
        "optimizer=adam",
        "optimizer.lr=0.03",
        "seed=7",
        "name=first_try",
        "trainer.max_epochs=20",
        "data.num_val=32",
    )
    trained = script("train.py", *arguments, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert [line[:7] for line in trained.stdout.splitlines()[:2]] == ["Epoch [", "Epoch ["]
    run = tmp_path / "outputs" / "runs" / "first_try"
    left = files(run)
    (event_file,) = left - FILES
    assert event_file.startswith("events.out.tfevents.")
    assert left - {event_file} == FILES
    assert files(tmp_path) == {f"outputs/runs/first_try/{name}" for name in left}
    result = json.loads((run / "result.json").read_text())
    keys = {
        "status",
        "epoch",
        "metrics",
        "best",
        "seed",
        "seconds",
        "versions",
        "message",
        "identity",
        "code",
        "sha256",
    }
    assert set(result) == keys
    assert (result["status"], result["epoch"], result["seed"]) == ("done", 20, 7)
    rows = read_rows(run / "metrics.csv")
    metrics = [f"{split}/{name}" for split in ("train", "val") for name in ("loss", "mae", "r2")]
    assert list(rows[0]) == ["epoch", "step", *metrics, "train/lr"]
    assert [(row["epoch"], row["step"]) for row in rows] == [(epoch, 8 * epoch) for epoch in range(1, 21)]
    assert result["metrics"] == {name: value for name, value in rows[-1].items() if name not in ("epoch", "step")}
    assert result["best"]["val/loss"] == min(row["val/loss"] for row in rows)

    again = script("train.py", "name=first_try", cwd=tmp_path)
    assert again.returncode == 2
    assert "try name=first_try_2, or resume=true" in again.stderr

    resumed = script("train.py", "name=first_try", "resume=true", "trainer.max_epochs=40", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert len(read_rows(run / "metrics.csv")) == 40
    assert files(run) == left

    other = script("train.py", "name=first_try", "resume=true", "optimizer.lr=0.5", cwd=tmp_path)
    assert other.returncode == 2
    assert "optimizer.lr is 0.5 here and 0.03 in the run" in other.stderr

    evaluated = script("evaluate.py", "outputs/runs/first_try", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "outside the training range" in evaluated.stdout

    predicted = script("predict.py", "outputs/runs/first_try", "1", "2", "3", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert abs(float(predicted.stdout) - 6) < 0.3
    piped = script("predict.py", "outputs/runs/first_try", cwd=tmp_path, stdin="a,b,c\n1,2,3\n-1,2e0,0.5\n")
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout.splitlines()[0] == predicted.stdout.strip()
    assert len(piped.stdout.splitlines()) == 2
    marked = script("predict.py", "outputs/runs/first_try", "-", cwd=tmp_path, stdin="\ufeff1,2,3\r-1,2e0,0.5\r")
    assert (marked.returncode, marked.stdout) == (0, piped.stdout), marked.stderr  # a byte-order mark, CR


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["1", "x", "3"], "", "row 1 must be numbers, got '1,x,3'"),
        (["1", "nan", "3"], "", "must be finite numbers"),
        (["nope.csv"], "", "nope.csv must be a readable .csv file"),
        ([], "1,2,3\n4,oops,6\n", "line 2 of standard input must be numbers, got '4,oops,6'"),
        ([], "", "there must be at least one row of numbers"),
    ],
)
def test_predict_refuses_what_is_no_row_of_numbers(words: list[str], stdin: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text("{}")
    refused = script("predict.py", "run", *words, cwd=tmp_path, stdin=stdin)
    assert refused.returncode == 2
    assert message in refused.stderr
    missing = script("predict.py", "runn", "1", cwd=tmp_path)
    assert (missing.returncode, missing.stderr) == (2, "runn is not a run's directory; did you mean run?\n")


def test_directories_asked_for_at_one_moment_differ(tmp_path: Path) -> None:
    """Many processes that want one time stamp get one directory each."""
    reserving = tmp_path / "reserving.py"
    reserving.write_text(
        "import sys, pathlib\n"
        "from simplenn.command.directory import reserve\n"
        "print(reserve(pathlib.Path(sys.argv[1]), numbered=True))\n"
    )
    wanted = tmp_path / "runs" / "now"
    started = [start(str(reserving), str(wanted), cwd=tmp_path) for _ in range(8)]
    got = {process.communicate()[0] for process in started}
    assert len(got) == 8
    assert reserve(wanted, numbered=True) == wanted.with_name("now_9")


def test_a_resume_to_fewer_epochs_than_are_done_is_refused(tmp_path: Path) -> None:
    """Finished or cut short: one line, and not a byte is written; as many epochs as are done are nothing to do."""
    assert script("train.py", "name=x", "trainer.max_epochs=3", *SMALL, cwd=tmp_path).returncode == 0
    run = Run(tmp_path / "outputs" / "runs" / "x")
    for finished in (True, False):
        if not finished:
            run.result_file.unlink()
        before = {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()}
        refused = script("train.py", "name=x", "resume=true", "trainer.max_epochs=2", cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith(
            "trainer.max_epochs must be at least 3, the epochs that the run has done, got 2"
        )
        assert refused.stderr.count("\n") == 1
        assert {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()} == before
    for said in ("done after 3 epochs", "nothing to do"):
        equal = script("train.py", "name=x", "resume=true", "trainer.max_epochs=3", cwd=tmp_path)
        assert equal.returncode == 0, equal.stderr
        assert said in equal.stdout


AWKWARD = 'it\'s a $1, \\ "x" = [1] {2} # 100 %'


def test_a_folder_of_any_name_will_do(tmp_path: Path) -> None:
    """A run, its resume, a sweep, two processes and a directory asked for by Hydra's own key."""
    folder = tmp_path / AWKWARD
    folder.mkdir()
    commands = [
        ["name=x"],
        ["name=x", "resume=true", "trainer.max_epochs=2"],
        ["-m", "seed=1,2", "name=s"],
        [f"hydra.run.dir={as_text(str(folder / 'own'))}"],
    ]
    for words in commands:
        if not any("max_epochs" in word for word in words):
            words += ["trainer.max_epochs=1", *SMALL]
        trained = script("train.py", *words, cwd=folder)
        assert trained.returncode == 0, trained.stderr
    runs = ["outputs/runs/x", "outputs/sweeps/s/runs/seed=1", "outputs/sweeps/s/runs/seed=2", "own"]
    assert sorted(path.parent.relative_to(folder) for path in folder.rglob("result.json")) == sorted(map(Path, runs))
    for name, epochs in (("outputs/runs/x", 2), ("own", 1)):
        assert len(read_rows(folder / name / "metrics.csv")) == epochs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hydra.run.dir=here"], "try hydra.run.dir=here_2, or resume=true to go on with it"),
        (["hydra.run.dir='a b'"], "try 'hydra.run.dir=a b_2', or resume=true"),
        (["-m", "seed=1,2", "hydra.sweep.dir=here"], "must be a sweep of this repo's or new, and holds other files"),
    ],
)
def test_a_taken_directory_is_refused_with_advice_on_its_own_key(
    words: list[str], message: str, tmp_path: Path
) -> None:
    for name in ("here", "a b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").touch()
    before = files(tmp_path)
    refused = script("train.py", *words, cwd=tmp_path)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert files(tmp_path) == before


def test_a_run_that_another_process_has_is_not_touched_by_a_resume(tmp_path: Path) -> None:
    """Of two that resume one run at one moment, the second is refused before Hydra writes."""
    assert script("train.py", "name=x", "trainer.max_epochs=1", *SMALL, cwd=tmp_path).returncode == 0
    run = Run(tmp_path / "outputs" / "runs" / "x")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.directory.rglob("*") if path.is_file()}
    with run.locked():
        refused = script("train.py", "name=x", "resume=true", "trainer.max_epochs=2", cwd=tmp_path)
    assert refused.returncode == 2
    assert "is in use by process " in refused.stderr
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.directory.rglob("*") if path.is_file()}
    assert after == before


def test_a_lock_passes_from_the_gate_to_the_training(tmp_path: Path) -> None:
    """Taken by `lock`, held on by `locked`, free when that ends."""
    run = Run(tmp_path)
    run.lock()
    with pytest.raises(ConfigError, match="in use"):
        run.lock()
    with run.locked(), pytest.raises(ConfigError, match="in use"):
        run.lock()
    with run.locked():
        pass


def wait_for_rows(path: Path, process: Forked, count: int = 3) -> None:
    while process.poll() is None and not (path.exists() and len(path.read_text().splitlines()) > count):
        time.sleep(0.05)


@pytest.mark.parametrize(("signum", "status", "sweep"), [(signal.SIGTERM, 143, True), (signal.SIGINT, 130, False)])
def test_a_signal_ends_a_run_or_a_sweep_in_order(signum: int, status: int, sweep: bool, tmp_path: Path) -> None:
    """Exit status 128 + n, `interrupted` in the result, no traceback, and no further job of a sweep."""
    arguments = ["-m", "hydra/launcher=basic", "seed=1,2"] if sweep else ["allow=[own]"]
    process = start("train.py", *arguments, "name=x", "trainer.max_epochs=100000", cwd=tmp_path)
    run = tmp_path / "outputs" / ("sweeps/x/runs/seed=1" if sweep else "runs/x")
    wait_for_rows(run / "metrics.csv", process)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, out + err
    assert "Traceback" not in out + err
    assert (f"go on with: python {ROOT}/scripts/train.py name=x resume=true 'allow=[own]'\n" in out) is not sweep
    result = Run(run).result()
    assert result is not None
    assert (result.status, result.message) == ("interrupted", signal.Signals(signum).name)
    assert not (run.parent / "seed=2").exists()


def test_a_killed_run_is_not_finished_and_resumes(tmp_path: Path) -> None:
    """kill -9: no result, and the command to go on with is `resume=true`."""
    process = start("train.py", "name=x", "trainer.max_epochs=100000", "quiet=true", cwd=tmp_path)
    run = Run(tmp_path / "outputs" / "runs" / "x")
    wait_for_rows(run.metrics_file, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert run.result() is None
    epochs = len(read_rows(run.metrics_file)) + 2
    resumed = script("train.py", "name=x", "resume=true", f"trainer.max_epochs={epochs}", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout != ""
    assert [row["epoch"] for row in read_rows(run.metrics_file)] == list(range(1, epochs + 1))


def test_a_failed_jobs_traceback_is_in_its_own_log(tmp_path: Path) -> None:
    """A network of one's own that raises while it trains: status failed, exit status 1, the others train."""
    package = tmp_path / "own"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from simplenn.network import SimpleNN\n"
        "class Brittle(SimpleNN):\n"
        "    def forward(self, x):\n"
        "        if self.layer1.out_features == 5 and self.training:\n"
        "            raise RuntimeError('five is too many')\n"
        "        return super().forward(x)\n"
    )
    conf = tmp_path / "conf" / "model"
    conf.mkdir(parents=True)
    (conf / "brittle.yaml").write_text("_target_: own.Brittle\nnum_features: 3\nhidden: 4\n")
    words = [
        "--config-dir",
        "conf",
        "-m",
        "model=brittle",
        "model.hidden=5,4",
        "trainer.max_epochs=2",
        *SMALL,
        "allow=[own]",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    swept = script("train.py", *words, "name=x", cwd=tmp_path, environment=environment)
    assert swept.returncode == 1, swept.stderr
    runs = tmp_path / "outputs" / "sweeps" / "x" / "runs"
    failed, done = Run(runs / "model.hidden=5"), Run(runs / "model.hidden=4")
    assert "RuntimeError: five is too many" in (failed.directory / "train.log").read_text()
    result = failed.result()
    assert result is not None
    assert (result.status, result.message) == ("failed", "RuntimeError: five is too many")
    result = done.result()
    assert result is not None
    assert result.status == "done"
    assert "2 runs: 1 done, 1 failed" in swept.stdout
    refused = script("evaluate.py", str(done.directory), cwd=tmp_path)
    assert refused.returncode == 2
    assert "model._target_ must name a class in torch.nn, torch.optim, simplenn" in refused.stderr


def test_compiling_without_a_compiler_is_refused_before_any_work(tmp_path: Path) -> None:
    """In a sweep, of which none would train as it should; a single run doesn't compile."""
    environment = {key: value for key, value in os.environ.items() if key != "CXX"} | {"PATH": str(tmp_path)}
    words = ["trainer.compile=true", "trainer.max_epochs=1", *SMALL]
    trained, refused = (
        script("train.py", *words, *more, cwd=tmp_path, environment=environment)
        for more in (["name=x"], ["seed=1,2", "name=y", "-m"])
    )
    assert trained.returncode == 0, trained.stderr
    assert refused.returncode == 2
    assert refused.stderr.startswith("trainer.compile=true needs a C++ compiler, got no ")
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "outputs" / "sweeps").exists()


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    quiet = script("train.py", "quiet=true", "trainer.max_epochs=2", *SMALL, cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    swept = script("train.py", "-m", "quiet=true", "trainer.max_epochs=2", *SMALL, "seed=1,2", cwd=tmp_path)
    assert (swept.returncode, swept.stdout, swept.stderr) == (0, "", "")


def test_a_signal_ends_every_process_of_a_run(tmp_path: Path) -> None:
    """Under ddp, SIGTERM to the process that was started ends those that it started, and says interrupted."""
    words = ("trainer=ddp", "trainer.max_epochs=100000", "name=x")
    process = start("train.py", *words, cwd=tmp_path, further_ranks=1)
    run = Run(tmp_path / "outputs" / "runs" / "x")
    wait_for_rows(run.metrics_file, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGTERM)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        alive = [child for child in children if Path(f"/proc/{child}").exists()]
        for child in alive:
            os.kill(int(child), signal.SIGKILL)
    assert process.returncode == 143, out + err
    assert children
    assert alive == []
    result = run.result()
    assert result is not None
    assert result.status == "interrupted"


def test_a_full_disk_fails_the_run_in_one_line_and_it_resumes(tmp_path: Path) -> None:
    """Status 1, the file and the reason named, no traceback, the files before intact; by a limit on their size."""
    words = ["name=x", *SMALL, "trainer.max_epochs=100"]
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    full = script("train.py", *words, cwd=tmp_path, prelude=limit)
    run = Run(tmp_path / "outputs" / "runs" / "x")
    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stdout + full.stderr + (run.directory / "train.log").read_text()
    (line,) = [line for line in (full.stdout + full.stderr).splitlines() if "can't be written" in line]
    assert line.startswith(str(run.directory))
    assert "File too large" in line
    result = run.result()
    assert result is not None
    assert result.status == "interrupted"
    resumed = script("train.py", "name=x", "resume=true", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert [row["epoch"] for row in read_rows(run.metrics_file)] == list(range(1, 101))
    (event_file,) = event_files(run.directory)
    steps = [e.step for e in read_events(event_file) if any(v.tag == "train/loss" for v in e.summary.value)]
    assert steps == list(range(1, 101))


def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path: Path) -> None:
    """As `| head -1` does: nothing is said of it, and the run is done."""
    process = start("train.py", "name=x", "trainer.max_epochs=20", *SMALL, cwd=tmp_path)
    assert process.stdout.readline().startswith("Epoch [2/20]")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0
    result = Run(tmp_path / "outputs" / "runs" / "x").result()
    assert result is not None
    assert result.status == "done"
