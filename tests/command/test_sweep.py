"""Sweeps as a user starts them. What a launcher leaves is compared with what Hydra's basic launcher leaves."""

import csv
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, script, start
from omegaconf import OmegaConf

from simplenn.rundir import checkpoint
from simplenn.rundir.events import event_files, read_events
from simplenn.rundir.run import Run

WALL_CLOCK = ("seconds",)
SMALL = ("data.num_train=64", "data.num_val=32")  # two steps an epoch


def table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, tensors and NaN included."""
    import torch

    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    return one == other


def content(run: Run, sweep_dir: Path) -> dict[str, Any]:
    """Everything in a run's directory, parsed, but for wall-clock times and what names the sweep or its launcher."""
    result = run.result()
    assert result is not None
    hydra: Any = OmegaConf.to_container(OmegaConf.load(run.directory / ".hydra" / "hydra.yaml"))
    hydra["hydra"].pop("launcher")
    hydra["hydra"]["runtime"]["choices"].pop("hydra/launcher")
    overrides = [word for word in hydra["hydra"]["overrides"].pop("hydra") if not word.startswith("hydra/launcher")]
    (file,) = event_files(run.directory)
    events = [
        (
            event.step,
            value.tag,
            value.simple_value,
            value.image.encoded_image_string,
            value.metadata.plugin_data.plugin_name,
        )
        for event in read_events(file)
        for value in event.summary.value
    ]
    return {
        "files": sorted(
            str(path.relative_to(run.directory)).split(".tfevents")[0] for path in run.directory.rglob("*")
        ),
        "config": OmegaConf.to_container(run.config),
        "overrides": run.overrides,
        "hydra": str(hydra).replace(str(sweep_dir.parent), ""),
        "hydra overrides": str(overrides).replace(str(sweep_dir.parent), ""),
        "metrics": run.metrics_file.read_text() if run.metrics_file.exists() else None,
        "result": {key: value for key, value in vars(result).items() if key not in WALL_CLOCK},
        "events": events,
        "log": len((run.directory / "train.log").read_text().splitlines()),
        **{which: checkpoint.load(path) for which in ("best", "last") if (path := run.checkpoint(which)).exists()},
    }


def test_a_stacked_sweep_leaves_what_hydras_launcher_leaves(tmp_path: Path) -> None:
    """The same table, and for each run the same directory, parsed; a run that diverges stops alone."""
    swept = ["optimizer=sgd,adam", "optimizer.lr=0.01,1e4", "seed=3,4", "trainer.max_epochs=3", *SMALL]
    for launcher in ("vectorized", "basic"):
        (tmp_path / launcher).mkdir()
        words = ["-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=out", *swept]
        done = script("train.py", *words, cwd=tmp_path / launcher)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "8 runs: 6 done, 2 diverged" in done.stdout
    stacked, alone = tmp_path / "vectorized" / "out", tmp_path / "basic" / "out"
    assert table(stacked) == table(alone)
    assert [row["status"] for row in table(stacked)].count("diverged") == 2
    names = [row["run"] for row in table(stacked)]
    assert names[:2] == ["optimizer=sgd,optimizer.lr=0.01,seed=3", "optimizer=sgd,optimizer.lr=0.01,seed=4"]
    for name in names:
        one = content(Run(stacked / "runs" / name), stacked)
        other = content(Run(alone / "runs" / name), alone)
        for part in one:
            assert same(one[part], other[part]), (name, part, one[part], other[part])


def test_places_of_the_users_own_are_those_of_hydras_launcher(tmp_path: Path) -> None:
    """Hydra's own idioms for them don't keep runs from a stack, and each directory is the same, parsed."""
    places = ["${hydra.job.num}", "'${hydra.job.override_dirname}/${optimizer.lr}_${hydra:job.num}'"]
    for count, place in enumerate(places):
        words = [f"hydra.sweep.subdir={place}", "optimizer.lr=0.1,0.2", "++seed=3,4", "trainer.max_epochs=1", *SMALL]
        words += ["hydra.job.config.override_dirname.exclude_keys=[seed]"]
        for launcher in ("vectorized", "basic"):
            cwd = tmp_path / launcher / str(count)
            cwd.mkdir(parents=True)
            done = script("train.py", "-m", f"hydra/launcher={launcher}", "hydra.sweep.dir=out", *words, cwd=cwd)
            assert done.returncode == 0, done.stdout + done.stderr
            assert ("stack 1 (4 runs)" in done.stdout) == (launcher == "vectorized")
        stacked, alone = (tmp_path / launcher / str(count) / "out" for launcher in ("vectorized", "basic"))
        assert table(stacked) == table(alone)
        assert list(table(alone)[0])[:4] == ["run", "optimizer.lr", "seed", "status"]
        for name in [row["run"] for row in table(alone)]:
            one, other = content(Run(stacked / name), stacked), content(Run(alone / name), alone)
            for part in one:
                assert same(one[part], other[part]), (name, part, one[part], other[part])


def test_what_does_not_stack_runs_one_by_one_with_a_reason(tmp_path: Path) -> None:
    """Every run is in the table, whichever way it trained."""
    words = ["-m", "++trainer.accumulate_grad_batches=1,2", "seed=1,2", "trainer.max_epochs=2", "name=mixed", *SMALL]
    done = script("train.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 4 jobs run one by one: trainer.accumulate_grad_batches=2" in done.stdout
    assert "4 runs: 4 done" in done.stdout
    sweep = tmp_path / "outputs" / "sweeps" / "mixed"
    assert [row["status"] for row in table(sweep)] == ["done"] * 4
    assert list(table(sweep)[0])[:4] == ["run", "seed", "trainer.accumulate_grad_batches", "status"]
    assert all(Run(sweep / "runs" / row["run"]).result() for row in table(sweep))
    again = script("train.py", *words, cwd=tmp_path)
    assert again.returncode == 0 and "nothing to do: all 4 runs are there already" in again.stdout


def test_a_sweeps_file_that_doesnt_say_it_is_one_is_refused(tmp_path: Path) -> None:
    """Else Hydra trains one run by the defaults, and obeys nothing of the file's, without a word."""
    file = tmp_path / "conf" / "sweep" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\nhydra:\n  sweeper:\n    params:\n      optimizer: sgd,adam\n")
    refused = script("train.py", "--config-dir", "conf", "sweep=mine", cwd=tmp_path, preloaded="hydra")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "a sweep's file must say that it is one, and what goes over optimizer doesn't" in refused.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(("key", "values"), [("seed", ["1", "2"]), ("optimizer.lr", ["0.1", "0.2"])])
def test_what_a_sweep_goes_over_can_be_given_by_hydras_own_key(key: str, values: list[str], tmp_path: Path) -> None:
    """Also a key of a group, which Hydra then nests."""
    words = [f'+hydra.sweeper.params.{key}="{",".join(values)}"', "trainer.max_epochs=1", "name=x"]
    done = script("train.py", "-m", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row[key] for row in table(tmp_path / "outputs" / "sweeps" / "x")] == values


def test_a_sweep_kept_in_a_file_is_told_how_it_ended(tmp_path: Path) -> None:
    """No -m is needed; equal points run once; five of its runs, trained again alone, are equal bit for bit."""
    words = ["sweep=lr_by_optimizer", "seed=1,2,2", "hydra.sweeper.points=3", "trainer.max_epochs=5"]
    words += ["optimizer.lr=0.1,1e-1,0.01", "verify=5", "max_stack=4"]
    done = script("train.py", *words, "name=kept", "run_dirs=none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified 5 runs by themselves: status, metrics and weights equal bit for bit" in done.stdout
    sweep = tmp_path / "outputs" / "sweeps" / "kept"
    rows = table(sweep)
    assert f"{len(rows)} runs: {len(rows)} done" in done.stdout
    assert not (sweep / "runs").exists()
    with (sweep / "summary.csv").open(newline="") as stream:
        best = next(csv.DictReader(stream))
    own = [row for row in rows if all(row[key] == best[key] for key in ("optimizer", "optimizer.lr"))]
    values = sorted(float(row["train/loss"]) for row in own)
    assert len(values) == 2 and float(best["median"]) == sum(values) / 2
    assert f"best:   {best['optimizer']} at {float(best['optimizer.lr']):g}: median train/loss" in done.stdout
    assert_alone_again(done.stdout, min(own, key=lambda row: float(row["train/loss"])), tmp_path)


def test_a_sweep_kept_in_a_file_that_has_grown_says_how_a_run_trains_alone(tmp_path: Path) -> None:
    """By the mode, without which the file makes a sweep of the command: at its end, and in its report."""
    words = ("sweep=lr_by_optimizer", "seed=1", "hydra.sweeper.points=2", "trainer.max_epochs=2", "name=kept")
    assert script("train.py", *words, cwd=tmp_path).returncode == 0
    grown = script("train.py", "-m", "name=kept", "resume=true", "seed=1,2", cwd=tmp_path)
    assert grown.returncode == 0, grown.stdout + grown.stderr
    told = script("report.py", "outputs/sweeps/kept", "--no-figures", cwd=tmp_path, preloaded="hydra")
    alone = {line for text in (grown.stdout, told.stdout) for line in text.splitlines() if line.startswith("alone:")}
    assert len(alone) == 1 and next(iter(alone)).endswith(" hydra.mode=RUN")
    (rows, values) = (table(tmp_path / "outputs" / "sweeps" / "kept"), shlex.split(next(iter(alone))))
    own = [row for row in rows if all(f"{key}={row[key]}" in values for key in ("optimizer", "seed"))]
    best = [row for row in own if f"optimizer.lr={float(row['optimizer.lr']):.4g}" in values]
    assert_alone_again(grown.stdout, best[0], tmp_path)


def assert_alone_again(printed: str, best: dict[str, str], cwd: Path) -> None:
    """The command that a sweep has printed at its end trains this run, which is in the middle of the best setting."""
    (line,) = [line for line in printed.splitlines() if line.startswith("alone:")]
    again = script("train.py", *shlex.split(line)[3:], "name=again", cwd=cwd)
    assert again.returncode == 0, again.stderr
    result = Run(cwd / "outputs" / "runs" / "again").result()
    assert result is not None
    assert {name: float(best[name]) for name in result.metrics} == result.metrics


def test_the_command_for_a_run_alone_finds_the_configuration_where_the_sweep_found_it(tmp_path: Path) -> None:
    """By an own directory, an own name in it, which makes every command a sweep, and a search path of Hydra's."""
    text = (ROOT / "conf" / "train.yaml").read_text().replace("hydra:\n", "hydra:\n  mode: MULTIRUN\n")
    files = {
        "own/short.yaml": f"{text}\ntrainer:\n  max_epochs: 3\n",
        "own/optimizer/mine.yaml": "_target_: torch.optim.SGD\nlr: 0.02\nmomentum: 0.5\n",
        "more/data/few.yaml": "defaults:\n  - sum\nnum_train: 7\nnum_val: 7\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    words = ["seed=1,2", "optimizer=mine", "data=few", f"hydra.searchpath=[file://{tmp_path}/more]", "name=x"]
    words += ["run_dirs=none", "hydra.sweeper.max_batch_size=1", "hydra/launcher=vectorized"]
    done = script("train.py", "-cd", "own", "--config-name=short", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = table(tmp_path / "outputs" / "sweeps" / "x")
    assert [row["epoch"] for row in rows] == ["3", "3"]
    assert_alone_again(done.stdout, min(rows, key=lambda row: float(row["val/loss"])), tmp_path)


def test_hydras_own_sweeper_drives_stacks(tmp_path: Path) -> None:
    """Any sweeper of Hydra's gets each job's objective and leaves the same tables."""
    words = ["-m", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2", "optimizer.lr=0.1,0.01,0.02,0.03"]
    done = script("train.py", *words, *SMALL, "trainer.max_epochs=2", "name=basic", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("(2 runs), epoch 2/2") == 2 and "one by one" not in done.stdout
    rows = table(tmp_path / "outputs" / "sweeps" / "basic")
    assert [(row["run"], row["optimizer.lr"]) for row in rows] == [
        ("0", "0.1"),
        ("1", "0.01"),
        ("2", "0.02"),
        ("3", "0.03"),
    ]


def test_joblib_trains_in_processes(train_run: Any, tmp_path: Path) -> None:
    """Not in the command's own, and each run as it trains alone."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    short = ("trainer.max_epochs=2", *SMALL)
    words = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,2", "name=x"]
    done = script("train.py", *words, *short, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Joblib.Parallel(n_jobs=2," in done.stdout and "is launching 2 jobs" in done.stdout
    rows = table(tmp_path / "outputs" / "sweeps" / "x")
    assert [row["run"] for row in rows] == ["seed=1", "seed=2"]
    for row in rows:
        alone = train_run(row["run"], row["run"], *short)
        assert row["status"] == "done" == alone.status
        assert {name: float(row[name]) for name in alone.metrics} == alone.metrics


def test_a_signal_ends_a_stack_in_order(tmp_path: Path) -> None:
    """Exit status 128 + n; what the runs had by then is kept, as `interrupted`."""
    words = ["-m", "seed=1,2", "data.num_train=32", "name=x", "trainer.max_epochs=1500"]
    process = start("train.py", *words, cwd=tmp_path)
    for line in process.stdout:
        if line.startswith("Sweep [10 %]"):
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, out + err
    assert "Traceback" not in out + err
    assert "2 runs: 2 interrupted" in out
    sweep = tmp_path / "outputs" / "sweeps" / "x"
    for row in table(sweep):
        result = Run(sweep / "runs" / row["run"]).result()
        assert result is not None
        assert (result.status, result.message, str(result.epoch)) == ("interrupted", "SIGTERM", row["epoch"])
        assert 150 <= result.epoch < 1500


PLANTED = """
from simplenn.sweep import part_arrays
from simplenn.sweep.run_files import directories

def fails(function, optimizer):
    def planted(group, *arguments):
        if optimizer in group.cfg.optimizer._target_:
            raise KeyError("planted")
        return function(group, *arguments)
    return planted

part_arrays._states = fails(part_arrays._states, "Adagrad")
directories.write_directories = fails(directories.write_directories, "RMSprop")
"""


def test_an_error_of_one_group_costs_no_other_groups_files(tmp_path: Path) -> None:
    """One line names the runs; the rest is written, the summary said, the status 1, and the same command again makes
    good for it. A group whose runs all diverge at once is no error.
    """
    swept = ["optimizer=sgd,adam,adagrad,rmsprop", "optimizer.lr=1e4", "seed=0,1", "trainer.max_epochs=2", *SMALL]
    done = script("train.py", "-m", *swept, "name=x", cwd=tmp_path, prelude=PLANTED)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "8 runs: 4 done, 2 diverged, 2 left to train" in done.stdout
    sweep = tmp_path / "outputs" / "sweeps" / "x"
    tables = [row["run"] for row in table(sweep)]
    assert tables == [f"optimizer={name},seed={seed}" for name in ("sgd", "adam", "rmsprop") for seed in (0, 1)]
    told = [line for line in done.stdout.splitlines() if line.startswith("can't")]
    runs = "{0} of 2 runs, optimizer={1},seed=0 to optimizer={1},seed=1: KeyError: 'planted'"
    assert told[0] == "can't write " + runs.format("the part", "adagrad")
    assert told[1] == "can't write " + runs.format("the directories", "rmsprop")
    again = script("train.py", "-m", *swept, "name=x", cwd=tmp_path)
    assert again.returncode == 1 and "6 of 8 done, 2 to train" in again.stdout
    assert len(table(sweep)) == 8 and len(list(sweep.glob("runs/*/result.json"))) == 8


def test_double_precision_leaves_what_runs_alone_leave(train_run: Any, tmp_path: Path) -> None:
    """The same files; metrics and checkpoints in double precision, to the rounding of its last digits."""
    import torch

    base = ["trainer.precision=64-true", "trainer.max_epochs=2", "optimizer=adam", *SMALL]
    done = script("train.py", "-m", *base, "seed=0,1", "name=x", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "x"
    for row in table(sweep):
        train_run(row["run"], *base, row["run"])
        stacked, alone = Run(sweep / "runs" / row["run"]), Run(tmp_path / row["run"])
        assert (sweep / "runs" / row["run"] / "checkpoints" / "best.ckpt").exists() == alone.checkpoint("best").exists()
        one, other = stacked.result(), alone.result()
        assert one is not None and other is not None
        assert one.metrics == pytest.approx(other.metrics, rel=1e-9)
        assert float(row["val/loss"]) == one.metrics["val/loss"]
        states = [checkpoint.load(run.checkpoint("last")) for run in (stacked, alone)]
        assert {weight.dtype for weight in states[0]["state_dict"].values()} == {torch.float64}
        torch.testing.assert_close(*(state["state_dict"] for state in states), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(*(state["optimizer_states"][0]["state"] for state in states), rtol=1e-9, atol=1e-12)
        tags = [
            [
                value.tag
                for file in event_files(run.directory)
                for event in read_events(file)
                for value in event.summary.value
            ]
            for run in (stacked, alone)
        ]
        assert tags[0] == tags[1] and "val/predictions" in tags[0]
