"""The sweep's table and arrays: aligned, whole, and enough to write any run's directory later."""

import csv
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars
import pytest
import torch
from conftest import script
from safetensors.torch import load_file
from sweeps import group_of, result, single, train_alone

from simplenn.errors import ConfigError
from simplenn.groups.joining import join_outcomes
from simplenn.rundir import checkpoint
from simplenn.rundir.run import Run
from simplenn.setup import build_run
from simplenn.sweep.extraction import extract
from simplenn.sweep.results import find, read_results, where
from simplenn.sweep.run_files.directories import write_directories
from simplenn.sweep.store import CHECKPOINTS, CURVES, STRUCTURES, WEIGHTS, read_groups, write_store
from simplenn.training.recorder import read_rows

SWEPT = ["model.hidden", "optimizer", "optimizer.lr"]
GRID = ("model.hidden=4,5", "optimizer=adam,sgd", "optimizer.lr=1e30,0.01", "data.num_train=32", "data.num_val=32")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    """Two widths, two optimizers, two learning rates, one of which diverges. The first six runs come from stacks,
    which have their jobs in another order; the last two trained alone."""
    root = tmp_path_factory.mktemp("store") / "sweep"
    runs = train_alone(root, *GRID, "trainer.max_epochs=3", "progress=none")
    groups = [group_of(part, ["optimizer.lr"], SWEPT) for part in ([runs[3], runs[2]], runs[4:6], runs[:2])]
    for num, run in enumerate(runs[6:], 6):
        overrides = dict(override.split("=", 1) for override in run.overrides)
        groups.append(single(run, num, {key: overrides[key] for key in SWEPT}, root))
    write_store(root, groups)
    return root, runs


def test_results_have_every_run_in_the_order_of_the_jobs(sweep: tuple[Path, list[Run]]) -> None:
    """Name, swept values, status, epoch, final and best metrics, as each run's own files have them."""
    root, runs = sweep
    with (root / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["run"] for row in rows] == [run.directory.name for run in runs]
    assert {row["status"] for row in rows} == {"done", "diverged"}
    for row, run in zip(rows, runs, strict=True):
        own = result(run)
        words = dict(word.split("=", 1) for word in run.overrides)
        assert (row["model.hidden"], row["optimizer"]) == (words["model.hidden"], words["optimizer"])
        assert float(row["optimizer.lr"]) == float(words["optimizer.lr"])
        assert (row["status"], int(row["epoch"])) == (own.status, own.epoch)
        numbers = own.metrics | {f"best/{name}": value for name, value in own.best.items()}
        known = {"run", *SWEPT, "status", "epoch"}
        assert {key: float(value) for key, value in row.items() if value and key not in known} == numbers


def test_curves_have_each_runs_rows_one_run_after_the_other(sweep: tuple[Path, list[Run]]) -> None:
    root, runs = sweep
    frame = polars.read_parquet(root / CURVES).with_columns(polars.col("run").cast(polars.String))
    expected = [{"run": run.directory.name, **row} for run in runs for row in read_rows(run.metrics_file)]
    assert frame.to_dicts() == [{key: row[key] for key in frame.columns} for row in expected]


def test_weights_stand_in_the_order_of_the_results(sweep: tuple[Path, list[Run]]) -> None:
    """One block for each width; `rows` says which rows of results.csv it holds, and together they are all."""
    root, runs = sweep
    tensors = load_file(root / WEIGHTS)
    rows = [tensors[f"{block}/rows"].tolist() for block in (0, 1)]
    assert sorted(rows[0] + rows[1]) == list(range(8))
    assert all(own == sorted(own) for own in rows)
    for block, own in enumerate(rows):
        for place, row in enumerate(own):
            state = checkpoint.load(runs[row].checkpoint("last"))["state_dict"]
            assert all(torch.equal(tensors[f"{block}/{name}"][place], state[name]) for name in state)


def test_one_shape_needs_no_blocks(sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """A run alone that left no checkpoint, and no result, is interrupted in the table and NaN in the weights."""
    _, runs = sweep
    (tmp_path / "runs" / "cut").mkdir(parents=True)
    group = group_of(runs[:2], ["optimizer.lr"], SWEPT)
    group.nums = [3, 0]
    write_store(tmp_path, [group, single(Run(tmp_path / "runs" / "cut"), 1, {}, tmp_path)])
    assert [row["status"] for row in read_results(tmp_path)] == ["done", "interrupted", "diverged"]
    tensors = load_file(tmp_path / WEIGHTS)
    assert tensors["rows"].tolist() == [0, 1, 2]
    found = tensors["network.layer1.weight"].isnan().flatten(1)
    assert found.all(dim=1).tolist() == [False, True, False]
    state = checkpoint.load(runs[0].checkpoint("last"))["state_dict"]
    assert torch.equal(tensors["network.layer1.weight"][2], state["network.layer1.weight"])


def test_extracting_gives_the_directory_that_bulk_writing_gives(sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """Byte for byte, but for the checkpoints, whose pickles may name one string twice: those tensor for tensor."""
    _, runs = sweep
    groups = [group_of(runs[:2], ["optimizer.lr"], SWEPT), group_of(runs[2:4], ["optimizer.lr"], SWEPT)]
    write_store(tmp_path, groups)
    for group in groups:
        write_directories(group, tmp_path, *build_run(group.cfg))
    (tmp_path / "runs").rename(tmp_path / "bulk")
    names = [groups[1].names[1], groups[0].names[0], groups[0].names[1]]
    assert list(extract(tmp_path, names)) == [tmp_path / "runs" / name for name in names]
    for name in names:
        paths = sorted(path for path in (tmp_path / "runs" / name).rglob("*") if path.is_file())
        assert len(paths) >= 7
        for path in paths:
            twin = tmp_path / "bulk" / path.relative_to(tmp_path / "runs")
            if path.suffix == ".ckpt":
                assert str(checkpoint.load(path)) == str(checkpoint.load(twin))
            else:
                assert path.read_bytes() == twin.read_bytes()
    assert set(extract(tmp_path, names).values()) == {False}


def test_a_group_joined_from_its_stacks_is_the_group_whole(sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """Where one stack ended earlier, too: the store's files are the same to the byte."""
    _, runs = sweep
    whole = group_of(runs[:2], ["optimizer.lr"], SWEPT)
    parts = [whole.take([run]).ended for run in range(2)]
    assert parts[0].curves["lr"].isnan().all()
    parts[0].steps, parts[0].curves = [], {}
    write_store(tmp_path / "whole", [whole])
    write_store(tmp_path / "parts", [replace(whole, outcome=join_outcomes(parts))])
    for name in ("results.csv", WEIGHTS, CHECKPOINTS):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    frames = [polars.read_parquet(tmp_path / name / CURVES) for name in ("whole", "parts")]
    assert frames[0].equals(frames[1])


def test_states_of_one_memory_are_kept_as_two(sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """Where a run's best state is its last, in memory too, both are read back."""
    _, runs = sweep
    group = group_of(runs[2:4], ["optimizer.lr"], SWEPT)
    group.ended.best = group.ended.last
    write_store(tmp_path, [group])
    (found,) = read_groups(tmp_path, group.names)
    for which in (found.ended.last, found.ended.best):
        assert torch.equal(which.epoch, group.ended.last.epoch)
        for name, weight in group.ended.last.weights.items():
            assert torch.equal(which.weights[name], weight)


@pytest.mark.parametrize("name", [CURVES, WEIGHTS, CHECKPOINTS, STRUCTURES])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_file_is_named(name: str, damage: str, sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """Nothing is written from it."""
    _, runs = sweep
    group = group_of(runs[:2], ["optimizer.lr"], SWEPT)
    write_store(tmp_path, [group])
    path = tmp_path / name
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        data[:middle] + bytes([data[middle] ^ 128]) + data[middle + 1 :] if damage == "flipped" else data[:middle]
    )
    if damage == "gone":
        path.unlink()
    with pytest.raises(ConfigError, match=rf"{name} is (damaged|missing)"):
        extract(tmp_path, group.names)
    assert not (tmp_path / "runs").exists()


def test_runs_are_chosen_by_name_or_by_column(sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """A name or column that isn't there is refused with the nearest ones."""
    root, runs = sweep
    rows = read_results(root)
    names = [run.directory.name for run in runs]
    assert where(rows, {"optimizer": "sgd", "optimizer.lr": "1e-2"}) == [names[3], names[7]]
    assert where(rows, {"status": "diverged", "model.hidden": "4"}) == [names[0], names[2]]
    with pytest.raises(ConfigError, match=rf"is not a run of the sweep; did you mean {re.escape(names[3])} or "):
        find(names[3] + "5", rows)
    turned = ",".join(reversed(names[3].split(","))).replace("0.01", "1e-2")
    assert turned != names[3] and find(turned, rows) == find(names[3], rows) == names[3]
    with pytest.raises(ConfigError, match="is not one run of the sweep but"):
        find("optimizer=sgd", rows)
    with pytest.raises(ConfigError, match=r"optimiser is not a column of results\.csv; did you mean optimizer"):
        where(rows, {"optimiser": "sgd"})
    with pytest.raises(ConfigError, match=r"must be a sweep's directory, but has no results\.csv"):
        read_results(tmp_path)


def test_the_script_writes_what_is_asked_for(sweep: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """It says where, and what to do next; a run that is there is left; a refusal is one line and imports no torch."""
    _, runs = sweep
    group = group_of(runs[:2], ["optimizer.lr"], SWEPT)
    write_store(tmp_path, [group])
    (tmp_path / "runs" / group.names[0]).mkdir(parents=True)
    done = script("extract.py", str(tmp_path), "--where", "optimizer=adam", "--allow", "own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'runs' / group.names[0]} is there already; left as it is" in done.stdout
    assert "1 written, 1 there already" in done.stdout
    assert re.search(r"^evaluate: python scripts/evaluate.py .* --allow own$", done.stdout, re.MULTILINE)
    assert result(Run(tmp_path / "runs" / group.names[1])).status == "done"
    refused = script("extract.py", str(tmp_path), "--allow", "p", "optimizer=adem", cwd=tmp_path)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "is not a run of the sweep" in refused.stderr


def test_choosing_imports_no_torch(tmp_path: Path) -> None:
    code = "import sys, simplenn.sweep.results; sys.exit('torch' in sys.modules or 'polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path).returncode == 0
