"""The table of a sweep: every run once, by what its own files have, and not believed when it is damaged."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars
import pytest
from conftest import ROOT, script
from sweeps import group_of, result, train_alone

from simplenn.errors import ConfigError
from simplenn.report import study_of
from simplenn.rundir.run import Run
from simplenn.sweep.all_runs import all_runs, overrides_of
from simplenn.sweep.choosing import find, find_all, where
from simplenn.sweep.parts import write_part
from simplenn.sweep.results import DIGEST, RESULTS, reason_not_as_written, refuse_no_sweep, results_of, write_results

SWEPT = ["model.hidden", "optimizer", "optimizer.lr"]
GRID = ("model.hidden=4,5", "optimizer=adam,sgd", "optimizer.lr=1e30,0.01", "data.num_train=32", "data.num_val=32")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    """Two widths, two optimizers, two learning rates, one of which diverges. The first six runs come from stacks,
    which have their jobs in another order; the last two trained alone."""
    root = tmp_path_factory.mktemp("results") / "sweep"
    runs = train_alone(root, *GRID, "trainer.max_epochs=3", "progress=none")
    for number, part in enumerate(([runs[3], runs[2]], runs[4:6], runs[:2])):
        write_part(root, number, group_of(part, ["optimizer.lr"], []), finished=True)
    write_results(root)
    return root, runs


@pytest.fixture
def sweep(made: tuple[Path, list[Run]], tmp_path: Path) -> tuple[Path, list[Run]]:
    """A copy, of which the run directories are those of the runs that trained alone."""
    root = tmp_path / "sweep"
    shutil.copytree(made[0], root)
    for run in made[1][:6]:
        shutil.rmtree(root / "runs" / run.directory.name)
    return root, made[1]


def test_results_have_every_run_in_the_order_of_the_jobs(sweep: tuple[Path, list[Run]]) -> None:
    """Name, swept values, status, epoch, final and best metrics, as each run's own files have them, whether the run is
    in a part, in a directory or in both."""
    root, runs = sweep
    for table in (root / RESULTS, runs[0].directory.parent.parent / RESULTS):
        with table.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["run"] for row in rows] == [run.directory.name for run in runs]
        assert list(rows[0])[:6] == ["run", *SWEPT, "status", "epoch"]
        for row, run in zip(rows, runs, strict=True):
            own = result(run)
            words = dict(word.split("=", 1) for word in run.overrides)
            assert (row["model.hidden"], row["optimizer"]) == (words["model.hidden"], words["optimizer"])
            assert float(row["optimizer.lr"]) == float(words["optimizer.lr"])
            assert (row["status"], int(row["epoch"])) == (own.status, own.epoch)
            numbers = own.metrics | {f"best/{name}": value for name, value in own.best.items()}
            known = {"run", *SWEPT, "status", "epoch"}
            assert {key: float(value) for key, value in row.items() if value and key not in known} == numbers
    write_results(root)
    assert (root / RESULTS).read_bytes() == (runs[0].directory.parent.parent / RESULTS).read_bytes()


def test_a_runs_overrides_are_found_wherever_it_is(sweep: tuple[Path, list[Run]]) -> None:
    root, runs = sweep
    rows = all_runs(root).rows(named=True)
    assert [overrides_of(root, row) for row in rows] == [run.overrides for run in runs]
    assert [row["part"] for row in rows] == [2, 2, 0, 0, 1, 1, None, None]


def test_the_table_is_as_sha256sum_has_it(sweep: tuple[Path, list[Run]]) -> None:
    done = subprocess.run(["sha256sum", "-c", DIGEST], cwd=sweep[0], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{RESULTS}: OK\n")


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "no digest", "damaged digest"])
def test_a_damaged_table_is_noticed(damage: str, sweep: tuple[Path, list[Run]]) -> None:
    """And the report says so, of the runs' own numbers."""
    root, _ = sweep
    assert not reason_not_as_written(root)
    before = study_of([root])
    data = (root / RESULTS).read_bytes()
    place = data.index(b"done,3,") + 5
    contents = {"flipped": data[:place] + b"4" + data[place + 1 :], "cut": data[: data.rindex(b"\n", 0, -1) + 1]}
    if damage in contents:
        (root / RESULTS).write_bytes(contents[damage])
    elif damage == "gone":
        (root / RESULTS).unlink()
    elif damage == "no digest":
        (root / DIGEST).unlink()
    else:
        (root / DIGEST).write_bytes(b"\xff")
    assert reason_not_as_written(root)
    study = study_of([root])
    assert study.runs.equals(before.runs)
    is_said = [note for note in study.notes if "resume=true writes it anew" in note]
    assert len(is_said) == (damage in ("flipped", "cut", "damaged digest"))


def test_of_two_parts_with_a_run_the_later_counts(sweep: tuple[Path, list[Run]]) -> None:
    root, runs = sweep
    group = group_of(runs[:1], ["optimizer.lr"], [])
    group = replace(group, outcome=replace(group.ended, status=["done"], message=["anew"]))
    write_part(root, 9, group, finished=True)
    rows = all_runs(root).rows(named=True)
    assert len(rows) == 8
    assert (rows[0]["part"], rows[0]["status"], rows[0]["message"]) == (9, "done", "anew")


def test_of_a_part_and_a_directory_the_one_that_has_come_further_counts(sweep: tuple[Path, list[Run]]) -> None:
    """Where the run's directory has been gone on with by itself."""
    root, runs = sweep
    directory = root / "runs" / runs[3].directory.name
    shutil.copytree(runs[3].directory, directory)
    longer = replace(result(runs[3]), epoch=7)
    Run(directory).write_result(longer)
    row = all_runs(root).row(3, named=True)
    assert (row["part"], row["epoch"], row["num"]) == (None, 7, 3)
    Run(directory).write_result(replace(longer, status="interrupted"))
    assert all_runs(root).row(3, named=True)["part"] == 0
    (directory / "result.json").write_text("{")
    assert all_runs(root).row(3, named=True)["part"] == 0


def test_a_run_that_was_cut_off_is_interrupted(sweep: tuple[Path, list[Run]]) -> None:
    """By itself, without a result, or with a damaged one."""
    root, runs = sweep
    path = root / "runs" / runs[7].directory.name / "result.json"
    for spoil in (lambda: path.write_text(path.read_text()[:40]), lambda: path.unlink(missing_ok=True)):
        spoil()
        row = all_runs(root).row(7, named=True)
        assert (row["status"], row["epoch"], row["final/val/loss"]) == ("interrupted", 3, None)


def test_a_key_that_some_runs_were_not_told_has_what_they_have(sweep: tuple[Path, list[Run]]) -> None:
    """Runs of another command, which gave a key that this one leaves to the configuration."""
    root, runs = sweep
    group = group_of(runs[:1], ["optimizer.lr"], [])
    group.overrides = [["optimizer.lr=0.5", "quiet=true", "data.num_train=32", "data.num_val=32", "seed=3"]]
    group.subdirs, group.nums, group.identities = ["runs/other"], [8], ["other"]
    write_part(root, 4, group, finished=True)
    table = results_of(root)
    assert table.columns[:6] == ["run", *SWEPT, "seed", "status"]
    last = table.row(8, named=True)
    assert (last["optimizer"], last["model.hidden"], last["seed"]) == ("adam", 4, 3)
    assert table["seed"].to_list()[:8] == [0] * 8 and "quiet" not in table.columns


@pytest.mark.parametrize("text", ["@SUM(A1)", "=1+1", "-cmd", "+cmd"])
def test_no_cell_is_a_formula(text: str, sweep: tuple[Path, list[Run]]) -> None:
    root, runs = sweep
    group = group_of(runs[:1], ["optimizer.lr"], [])
    group.overrides = [[*group.overrides[0], f"name_of_mine={text}"]]
    group.subdirs, group.nums, group.identities = [f"runs/{text}"], [8], ["other"]
    write_part(root, 4, group, finished=True)
    write_results(root)
    with (root / RESULTS).open(newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+@-" and cell and not re.fullmatch(r"-?[\d.e+-]+", cell)]
    assert [cell for cell in cells if text in cell]


def test_runs_are_chosen_by_name_or_by_column(sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """A name or column that isn't there is refused with the nearest ones."""
    root, runs = sweep
    table = results_of(root)
    names = [run.directory.name for run in runs]
    assert where(table, {"optimizer": "sgd", "optimizer.lr": "1e-2"}) == [names[3], names[7]]
    assert where(table, {"status": "diverged", "model.hidden": "4"}) == [names[0], names[2]]
    with pytest.raises(ConfigError, match=rf"is not a run of the sweep; did you mean {re.escape(names[3])} or "):
        find(names[3] + "5", table)
    turned = ",".join(reversed(names[3].split(","))).replace("0.01", "1e-2")
    assert turned != names[3] and find(turned, table) == find(names[3], table) == names[3]
    with pytest.raises(ConfigError, match="is not one run of the sweep but"):
        find("optimizer=sgd", table)
    sgd = [name for name in names if "optimizer=sgd" in name]
    assert 0 < len(sgd) < len(names) and sorted(find_all("*optimizer=sgd*", table, root)) == sorted(sgd)
    assert find_all(names[3], table, root) == [names[3]] and len(find_all("*", table, root)) == len(names)
    assert find_all("a=[1,2],s?=*", polars.DataFrame({"run": ["a=[1,2],s1=3", "a=1,s1=3"]}), root) == ["a=[1,2],s1=3"]
    with pytest.raises(ConfigError, match=r"^optimizer=sgd,x\* is not a run of the sweep; did you mean"):
        find_all("optimizer=sgd,x*", table, root)
    with pytest.raises(ConfigError, match=r"optimiser is not a column of results\.csv; did you mean optimizer"):
        where(table, {"optimiser": "sgd"})
    with pytest.raises(ConfigError, match=r"must be a sweep's directory, and is a folder of them"):
        refuse_no_sweep(tmp_path)


def test_the_script_writes_what_is_asked_for(sweep: tuple[Path, list[Run]]) -> None:
    """It says where, and what to do next; a run that is there is left; a refusal is one line and imports no torch."""
    root, runs = sweep
    done = script("extract.py", str(root), "--where", "optimizer=sgd,model.hidden=5", cwd=root)
    assert done.returncode == 0, done.stderr
    assert f"{root / 'runs' / runs[7].directory.name} is there already; left as it is" in done.stdout
    assert "0 written, 2 there already" in done.stdout
    assert f"evaluate: python {ROOT}/scripts/evaluate.py" in done.stdout
    done = script("extract.py", str(root), f"*{runs[3].directory.name[1:]}", cwd=root)
    assert "1 written, 0 there already" in done.stdout
    assert result(Run(root / "runs" / runs[3].directory.name)).metrics == result(runs[3]).metrics
    refused = script("extract.py", str(root), "--allow", "p", "optimizer=adem", cwd=root)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "is not a run of the sweep" in refused.stderr


def test_choosing_imports_no_torch(sweep: tuple[Path, list[Run]]) -> None:
    code = "import sys; from pathlib import Path; from simplenn.sweep.results import results_of; "
    code += "assert len(results_of(Path('.'))) == 8; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=sweep[0]).returncode == 0


def test_a_damaged_part_gives_no_table(sweep: tuple[Path, list[Run]]) -> None:
    root, _ = sweep
    path = root / "stacks" / "0001-3" / "structure.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"seconds": content["seconds"] + 1}))
    with pytest.raises(ConfigError, match=r"structure.json is damaged: its checksum doesn't match"):
        results_of(root)
    assert isinstance(polars.read_csv(root / RESULTS), polars.DataFrame)
