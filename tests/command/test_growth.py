"""A named sweep is a set of runs that grows: what is finished is kept, what is new is trained, nothing else is touched.

The oracle is the sweep that was asked for at once and never interrupted.
"""

import json
import os
import shutil
from pathlib import Path

import polars
import pytest
from commands import ROOT, script
from trees import differences, tree

QUICK = ("experiment=post", "trainer=cpu", "trainer.max_epochs=4")
GRID = ("optimizer=sgd,adam", "seed=1,2,3")
NO_TORCH = "import sys; sys.modules['torch'] = None"  # from then on, whoever imports it gets an error
CUT_OFF = """
import signal
from lightning.pytorch.loops.fit_loop import _FitLoop

advance_end = _FitLoop.on_advance_end

def on_advance_end(self):
    advance_end(self)
    if self.epoch_progress.current.completed == 9:
        signal.raise_signal(signal.SIGINT)

_FitLoop.on_advance_end = on_advance_end
"""
NAME = Path("outputs") / "sweeps" / "study"


def sweep(cwd: Path, *words: str, status: int = 0, prelude: str = "") -> str:
    """What a sweep called `study` prints."""
    done = script("train.py", "-m", "name=study", *QUICK, *words, cwd=cwd, prelude=prelude)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def same(one: Path, other: Path) -> list[str]:
    return differences(tree(one / NAME), tree(other / NAME))


def touched(directory: Path) -> dict[str, tuple[int, int]]:
    """Each file's, and each folder's, last change."""
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in [directory, *directory.rglob("*")]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sweep of six runs has been trained at once, as two stacks."""
    cwd = tmp_path_factory.mktemp("whole")
    sweep(cwd, *GRID)
    return cwd


def copied(whole: Path, cwd: Path) -> Path:
    shutil.copytree(whole / NAME, cwd / NAME)
    return cwd / NAME


def test_a_finished_sweep_asked_for_again_touches_nothing(whole: Path, tmp_path: Path) -> None:
    """And imports no torch."""
    directory = copied(whole, tmp_path)
    before = touched(directory)
    done = script(
        "train.py", "-m", "name=study", *QUICK, *GRID, cwd=tmp_path, preloaded="hydra",
        prelude=NO_TORCH,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to do: all 6 runs are there already" in done.stdout
    assert touched(directory) == before


def test_what_a_kill_has_left_out_is_trained(whole: Path, tmp_path: Path) -> None:
    """As if it had never been killed, here after the first of its two stacks."""
    directory = copied(whole, tmp_path)
    part = next(directory.glob("stacks/0001-*"))
    shutil.rmtree(part)
    for run in directory.glob("runs/optimizer=adam*"):
        shutil.rmtree(run)
    (directory / "results.csv").unlink()
    assert "3 of 6 done, 3 to train" in sweep(tmp_path, *GRID)
    assert same(tmp_path, whole) == []


def test_a_wider_grid_trains_only_what_is_new(whole: Path, tmp_path: Path) -> None:
    """What was there stays as it is, to the file; each new run is what it is in a sweep of its own."""
    directory = copied(whole, tmp_path)
    before = touched(directory / "stacks") | touched(directory / "runs")
    text = sweep(tmp_path, "optimizer=sgd,adam", "seed=1,2,3,4")
    assert "6 of 8 done, 2 to train" in text and "8 runs: 8 done" in text
    after = touched(directory / "stacks") | touched(directory / "runs")
    folders = {str(directory / "stacks"), str(directory / "runs")}
    assert {name: when for name, when in after.items() if name in before and name not in folders} == {
        name: when for name, when in before.items() if name not in folders
    }
    (tmp_path / "once").mkdir()
    sweep(tmp_path / "once", "optimizer=sgd,adam", "seed=1,2,3,4")
    grown, once = tree(directory / "runs"), tree(tmp_path / "once" / NAME / "runs")
    unlike = {
        name for name in differences(grown, once) if not name.endswith(".yaml")
    }  # job numbers, and what was asked
    assert grown.keys() == once.keys() and unlike == set()


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_a_longer_sweep_is_as_if_it_had_been_asked_for_at_once(launcher: str, whole: Path, tmp_path: Path) -> None:
    """Whoever has begun it: stacks go on as stacks, and under Hydra's launcher each run by itself."""
    directory = copied(whole, tmp_path)
    text = sweep(tmp_path, *GRID, "trainer.max_epochs=7", f"hydra/launcher={launcher}")
    assert "0 of 6 done, 6 to train, of which 6 go on from where they are" in text
    (tmp_path / "once").mkdir()
    sweep(tmp_path / "once", *GRID, "trainer.max_epochs=7", f"hydra/launcher={launcher}")
    once = tmp_path / "once" / NAME
    assert (directory / "results.csv").read_bytes() == (once / "results.csv").read_bytes()
    grown, at_once = tree(directory / "runs"), tree(once / "runs")
    assert differences(grown, at_once) == []
    if launcher == "vectorized":
        assert same(tmp_path, tmp_path / "once") == []


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_fewer_epochs_than_unfinished_runs_have_are_refused(launcher: str, tmp_path: Path) -> None:
    """In one line, and nothing is touched; as many as they have are the runs that were asked for at once."""
    grid = ("optimizer=sgd", "seed=1,2", f"hydra/launcher={launcher}")
    done = script("train.py", "-m", "name=study", *QUICK, *grid, "trainer.max_epochs=30", cwd=tmp_path, prelude=CUT_OFF)
    assert done.returncode == 130, done.stdout + done.stderr
    before = touched(tmp_path / NAME)
    refused = script("train.py", "-m", "name=study", "resume=true", "trainer.max_epochs=8", cwd=tmp_path)
    assert refused.returncode == 2 and refused.stdout == "" and refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("trainer.max_epochs must be at least 9, the epochs that an unfinished run of")
    assert touched(tmp_path / NAME) == before
    sweep(tmp_path, *grid, "trainer.max_epochs=9")
    (tmp_path / "once").mkdir()
    sweep(tmp_path / "once", *grid, "trainer.max_epochs=9")
    assert (tmp_path / NAME / "results.csv").read_bytes() == (tmp_path / "once" / NAME / "results.csv").read_bytes()


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_a_sweep_that_is_cut_off_while_it_is_made_longer_says_so(launcher: str, whole: Path, tmp_path: Path) -> None:
    """In its last line, in its report and in a notebook; it keeps the epochs that it has by then, and goes on."""
    from simplenn import Sweep

    directory = copied(whole, tmp_path)
    words = (*GRID, "trainer.max_epochs=30", f"hydra/launcher={launcher}")
    done = script("train.py", "-m", "name=study", *QUICK, *words, cwd=tmp_path, prelude=CUT_OFF)
    assert done.returncode == 130, done.stdout + done.stderr
    command = f"go on with: python {ROOT}/scripts/train.py -m name=study resume=true"
    assert done.stdout.splitlines()[-1] == command
    told = script("report.py", str(NAME), "--no-figures", cwd=tmp_path, preloaded="hydra").stdout.splitlines()
    counts = "6 left to train on to epoch 30"
    for said in (done.stdout.splitlines(), told):
        assert f"6 runs: {counts}" in said and "note:   6 of 6 runs are left to train: this is so far." in said
    assert command in told
    found = Sweep(directory)
    assert found.num_left == 6 and repr(found).endswith(f": 6 runs, {counts})")
    refused = script("train.py", "-m", "name=study", "resume=true", "trainer.max_epochs=8", cwd=tmp_path)
    assert refused.returncode == 2 and "must be at least 9, the epochs that an unfinished run" in refused.stderr
    sweep(tmp_path, *words)
    assert Sweep(directory).num_left == 0
    (tmp_path / "once").mkdir()
    sweep(tmp_path / "once", *words)
    assert differences(tree(directory / "runs"), tree(tmp_path / "once" / NAME / "runs")) == []


def test_runs_that_a_longer_command_doesnt_ask_for_are_not_left(whole: Path, tmp_path: Path) -> None:
    """They have as many epochs as they were asked for; a shorter command says that it leaves them longer."""
    from simplenn import Sweep

    directory = copied(whole, tmp_path)
    assert "6 runs: 6 done" in sweep(tmp_path, "optimizer=sgd", "seed=1,2", "trainer.max_epochs=7")
    assert Sweep(directory).num_left == 0
    assert "2 kept runs have more epochs than this command asks for; they stay" in sweep(tmp_path, *GRID)


@pytest.mark.parametrize(("first", "second"), [("vectorized", "basic"), ("basic", "vectorized")])
def test_each_launcher_finishes_what_another_began(first: str, second: str, whole: Path, tmp_path: Path) -> None:
    sweep(tmp_path, "optimizer=sgd", "seed=1,2,3", f"hydra/launcher={first}")
    text = sweep(tmp_path, *GRID, f"hydra/launcher={second}")
    assert "3 of 6 done, 3 to train" in text
    grown, at_once = (tree(cwd / NAME / "runs") for cwd in (tmp_path, whole))
    unlike = {name for name in differences(grown, at_once) if not name.endswith(".yaml")}
    assert len(grown) == len(at_once) and not {name for name in unlike if "optimizer=adam" in name}


def test_runs_of_another_grid_in_the_same_directory_get_places_of_their_own(whole: Path, tmp_path: Path) -> None:
    """Their names would be those of runs that are there, which are others: their learning rate is not the same."""
    directory = copied(whole, tmp_path)
    text = sweep(tmp_path, *GRID, "optimizer.lr=0.002")
    assert "0 of 6 done, 6 to train" in text and "6 runs of the sweep are none of this command's" in text
    rows = (directory / "results.csv").read_text().splitlines()
    assert len(rows) == 13 and len({row.split(",")[0] for row in rows}) >= 2
    assert (directory / "runs" / "optimizer=sgd,seed=1_2").is_dir()
    assert "nothing to do" in sweep(tmp_path, *GRID) and "nothing to do" in sweep(tmp_path, *GRID, "optimizer.lr=0.002")


def test_a_sweep_goes_on_with_what_its_last_command_asked_for(whole: Path, tmp_path: Path) -> None:
    """`resume=true` takes the grid from `multirun.yaml`; what the command gives besides counts."""
    directory = copied(whole, tmp_path)
    shutil.rmtree(next(directory.glob("stacks/0001-*")))
    for run in directory.glob("runs/optimizer=adam*"):
        shutil.rmtree(run)
    done = script("train.py", "-m", "name=study", "resume=true", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 6 done, 3 to train" in done.stdout
    done = script("train.py", "-m", "name=study", "resume=true", "seed=1,2,3,4", cwd=tmp_path)
    assert "6 of 8 done, 2 to train" in done.stdout


def test_a_changed_multirun_file_is_not_obeyed(whole: Path, tmp_path: Path) -> None:
    """One bit makes another grid of it, as good YAML as before. The whole command writes it anew."""
    file = copied(whole, tmp_path) / "multirun.yaml"
    text = file.read_text()
    file.write_text(text.replace("seed=1,2,3", "seed=1,2,7"))
    assert file.read_text() != text
    done = script("train.py", "-m", "name=study", "resume=true", cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "multirun.yaml must be as the sweep's command wrote it" in done.stderr
    text = sweep(tmp_path, *GRID)
    assert "multirun.yaml is damaged; set aside as multirun.yaml.damaged" in text and "nothing to do" in text
    assert "nothing to do" in script("train.py", "-m", "name=study", "resume=true", cwd=tmp_path).stdout


def test_a_stacked_runs_directory_without_its_result_is_written_anew(whole: Path, tmp_path: Path) -> None:
    """But not that of a run which somebody goes on with by itself, and which has come further."""
    directory = copied(whole, tmp_path)
    run, further = (directory / "runs" / f"optimizer=sgd,seed={seed}" for seed in (1, 2))
    for path in (run, further):
        (path / "result.json").unlink()
    rows = (further / "metrics.csv").read_text()
    (further / "metrics.csv").write_text(rows + "5,5,1.0\n")
    sweep(tmp_path, *GRID)
    assert differences(tree(run), tree(whole / NAME / "runs" / run.name)) == []
    assert not (further / "result.json").exists()
    assert "nothing to do" in sweep(tmp_path, *GRID)


def test_a_table_of_before_the_runs_grew_longer_is_written_anew(tmp_path: Path) -> None:
    """It is as it was written, and has all runs: a kill has come just before the new one."""
    grid = ("optimizer=sgd", "seed=1,2", "run_dirs=none")
    sweep(tmp_path, *grid)
    tables = {path: path.read_bytes() for path in (tmp_path / NAME).glob("*.csv*")}
    assert len(tables) == 3
    sweep(tmp_path, *grid, "trainer.max_epochs=6")
    longer = (tmp_path / NAME / "results.csv").read_bytes()
    for path, content in tables.items():
        path.write_bytes(content)
    sweep(tmp_path, *grid, "trainer.max_epochs=6")
    assert (tmp_path / NAME / "results.csv").read_bytes() == longer != tables[tmp_path / NAME / "results.csv"]
    before = touched(tmp_path / NAME)
    assert "nothing to do" in sweep(tmp_path, *grid, "trainer.max_epochs=6")
    assert touched(tmp_path / NAME) == before


def test_results_that_were_exchanged_are_noticed(tmp_path: Path) -> None:
    """Each is whole, and each is of a run of the sweep."""
    grid = ("optimizer=sgd", "seed=1,2", "hydra/launcher=basic")
    sweep(tmp_path, *grid)
    directory = tmp_path / NAME
    before = tree(directory)
    one, other = (directory / "runs" / f"seed={seed}" / "result.json" for seed in (1, 2))
    content = one.read_bytes(), other.read_bytes()
    one.write_bytes(content[1])
    other.write_bytes(content[0])
    text = sweep(tmp_path, *grid)
    assert text.count("result.json is damaged: it is another run's; set aside") == 2
    assert {name: found for name, found in tree(directory).items() if ".damaged" not in name} == before


def test_runs_are_trained_again_where_that_is_asked_for(tmp_path: Path) -> None:
    grid = ("optimizer=sgd", "optimizer.lr=0.01,1e5", "seed=1,2")
    assert "2 done, 2 diverged" in sweep(tmp_path, *grid, status=1)
    first = tree(tmp_path / NAME)
    assert "2 of 4 done, 2 to train" in sweep(tmp_path, *grid, "rerun=diverged", status=1)
    assert "0 of 4 done, 4 to train" in sweep(tmp_path, *grid, "rerun=all", status=1)
    again = differences(tree(tmp_path / NAME), first)
    assert [name for name in again if not name.endswith(".yaml") and not name.startswith("stacks")] == []
    assert "nothing to do" in sweep(tmp_path, *grid, "rerun=failed")


def test_a_directory_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / NAME
    foreign.mkdir(parents=True)
    (foreign / "thesis.tex").write_text("years of work")
    done = script("train.py", "-m", "name=study", *QUICK, *GRID, cwd=tmp_path)
    assert done.returncode == 2 and "must be a sweep of this repo's or new" in done.stderr
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_a_sweep_over_the_length_has_a_run_for_each(launcher: str, tmp_path: Path) -> None:
    """There, 3 and 5 epochs are two runs; a command that asks for one of them finds it done."""
    grid = ("optimizer=sgd", f"hydra/launcher={launcher}")
    assert "2 runs: 2 done" in sweep(tmp_path, *grid, "seed=1", "trainer.max_epochs=5,3")
    for epochs in ("5,3", "3", "5"):
        assert "nothing to do" in sweep(tmp_path, *grid, "seed=1", f"trainer.max_epochs={epochs}")
    text = sweep(tmp_path, *grid, "seed=1,2", "trainer.max_epochs=5")
    assert "1 of 2 done, 1 to train" in text and "3 runs: 3 done" in text
    table = polars.read_csv(tmp_path / NAME / "results.csv")
    assert sorted(table.select("epoch", "seed").iter_rows()) == [(3, 1), (5, 1), (5, 2)]


def test_kept_runs_of_other_code_are_named(whole: Path, tmp_path: Path) -> None:
    directory = copied(whole, tmp_path)
    assert "kept runs were trained with" not in sweep(tmp_path, *GRID)
    text = sweep(tmp_path, *GRID, "++trainer.compile=true")
    assert "kept runs were trained with trainer.compile=" in text and "(now True)" in text
    assert directory.is_dir()


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_runs_that_go_on_with_other_code_are_told(launcher: str, whole: Path, tmp_path: Path) -> None:
    """In a line before they train; what they leave has the digests of both versions, and a report has a note. Those
    that are kept, and those that are new, are not among them."""
    directory = copied(whole, tmp_path)
    words = (*GRID, f"hydra/launcher={launcher}")
    text = sweep(tmp_path, *words, "trainer.max_epochs=5")
    assert "6 go on from where they are" in text and "code" not in text
    sweep(tmp_path, "optimizer=sgd", "seed=4", f"hydra/launcher={launcher}", "trainer.max_epochs=6")
    edited = "from simplenn.rundir import code; code._of_package = lambda: 'edited'"
    text = sweep(tmp_path, "optimizer=sgd,adam", "seed=1,2,3,4", *words[2:], "trainer.max_epochs=6", prelude=edited)
    assert text.count("other code of simplenn, and best values are compared across both") == 1
    assert "6 runs go on whose epochs so far were trained with other code of simplenn" in text
    assert text.index("go on whose epochs") < text.index("of 8 done, 7 to train")
    codes = [json.loads(path.read_text())["code"]["simplenn"] for path in directory.glob("runs/*/result.json")]
    first = next(code for code in codes if "edited" not in code)
    assert sorted(codes) == sorted([first, "edited"] + [f"{first}+edited"] * 6)
    report = " ".join(script("report.py", str(directory), cwd=tmp_path).stdout.split())
    assert "6 of 8 runs went on with other code of simplenn than they had begun with" in report


def test_two_commands_at_once_have_one_owner(whole: Path, tmp_path: Path) -> None:
    """The second is refused, and told whose the directory is."""
    from simplenn.rundir.lock import Lock

    directory = copied(whole, tmp_path)
    lock = Lock(directory)
    try:
        done = script("train.py", "-m", "name=study", *QUICK, "seed=range(9)", cwd=tmp_path)
    finally:
        lock.release()
    assert done.returncode == 2 and f"is in use by process {os.getpid()}" in done.stderr
