"""A sweep in Python is what its files say: each frame, tensor and network has the numbers that the runs have."""

import shutil
from pathlib import Path

import polars
import pytest
import torch
from conftest import script

import simplenn
from simplenn.errors import ConfigError
from simplenn.rundir import checkpoint
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.run import Run
from simplenn.sweep.extraction import extract
from simplenn.sweep.results import results_of

QUICK = ("experiment=post", "trainer=cpu", "progress=none", "trainer.max_epochs=5", "run_dirs=none")
GRID = ("optimizer=sgd,adam", "optimizer.lr=0.01,1e20", "seed=range(3)")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts, of two optimizers, in which runs diverge, a part that was added later, and runs that trained alone."""
    root = tmp_path_factory.mktemp("grown")
    for words in (GRID, ("seed=range(3,6)",), ("hydra/launcher=basic", "model.activation=relu", "seed=6,7")):
        done = script("train.py", "-m", *QUICK, *words, "name=grown", cwd=root)
        assert done.returncode in (0, 1), done.stderr
    return root / "outputs" / "sweeps" / "grown"


@pytest.fixture(scope="module")
def directories(grown: Path) -> dict[str, Run]:
    """The directory of each run, written from a copy of the sweep."""
    copy = grown.with_name("extracted")
    shutil.copytree(grown, copy)
    names = results_of(copy)["run"].to_list()
    return dict(zip(names, map(Run, extract(copy, names)), strict=True))


def test_results_are_those_of_the_file(grown: Path) -> None:
    sweep = simplenn.Sweep(grown)
    assert sweep.results.equals(polars.read_csv(grown / "results.csv", infer_schema_length=None))
    assert len(sweep) == 17
    assert repr(sweep) == f"Sweep({str(grown)!r}: 17 runs, 11 done, 6 diverged)"


def test_the_summary_has_a_row_for_each_setting_and_best_is_its_first(grown: Path) -> None:
    """And the best setting has the runs over which it is the best."""
    sweep = simplenn.Sweep(grown)
    assert sweep.summary["n"].sum() == 17
    best = sweep.best()
    assert best.name == sweep.summary["setting"][0]
    assert best.median == sweep.summary["median"].min() == best.runs["train/loss"].median()
    assert len(best.runs) == best.n and best.diverged == 0
    assert [word for word in best.overrides if "=" in word and not word.startswith("seed=")]
    for key, value in best.values.items():
        assert set(best.runs[key]) == {value}


def test_curves_have_the_rows_of_each_run(grown: Path, directories: dict[str, Run]) -> None:
    """In the order of the results, whichever part they come from."""
    sweep = simplenn.Sweep(grown)
    curves = sweep.curves
    ended = sweep.results.filter(polars.col("run").is_in(curves["run"].to_list()))
    assert curves["run"].unique(maintain_order=True).to_list() == ended["run"].to_list()
    for name, run in directories.items():
        rows = read_rows(run.metrics_file)
        own = curves.filter(polars.col("run") == name)
        assert own["epoch"].to_list() == [row["epoch"] for row in rows]
        for metric in {name for row in rows for name in row} - {"epoch", "step"}:
            assert own[metric].to_list() == [row.get(metric) for row in rows]
        result = sweep.results.row(by_predicate=polars.col("run") == name, named=True)
        for key in ("optimizer", "optimizer.lr", "seed"):
            assert set(own[key]) <= {result[key]}


@pytest.mark.parametrize("which", ["last", "best"])
def test_weights_are_those_of_each_runs_checkpoint(which: str, grown: Path, directories: dict[str, Run]) -> None:
    """To the bit, in the order of the results; NaN where a run has no such checkpoint."""
    sweep = simplenn.Sweep(grown)
    stacked = sweep.weights if which == "last" else sweep.weights_of(checkpoint=which)
    assert {name: tensor.shape[1:] for name, tensor in stacked.items()} == {
        "layer1.weight": (4, 3),
        "layer1.bias": (4,),
        "layer2.weight": (1, 4),
        "layer2.bias": (1,),
    }
    none = 0
    for place, name in enumerate(sweep.results["run"]):
        path = directories[name].checkpoint(which)
        if not path.exists():
            none += 1
            assert all(tensor[place].isnan().all() for tensor in stacked.values())
            continue
        state = checkpoint.load(path)["state_dict"]
        assert all(torch.equal(tensor[place], state[f"network.{key}"]) for key, tensor in stacked.items())
    assert none < len(sweep)


def test_a_run_is_given_by_its_name(grown: Path) -> None:
    sweep = simplenn.Sweep(grown)
    line = r"a run must be given by its name, got 0; the names are in results\['run'\]"
    with pytest.raises(ConfigError, match=line):
        sweep.weights_of([0, 1])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=line):
        sweep.run(0)  # pyright: ignore[reportArgumentType]


def test_weights_of_some_runs_stand_in_their_order(grown: Path) -> None:
    sweep = simplenn.Sweep(grown)
    rows = sweep.results.sample(fraction=1, shuffle=True, seed=1).head(6)
    places = [sweep.results["run"].to_list().index(name) for name in rows["run"]]
    for given in (rows, rows["run"].to_list()):
        found = sweep.weights_of(given)
        assert all(torch.equal(found[name], tensor[places]) for name, tensor in sweep.weights.items())


def test_networks_of_several_shapes_are_not_stacked(tmp_path: Path) -> None:
    """But those of one shape among them are."""
    script("train.py", "-m", *QUICK, "model.hidden=3,5", "seed=range(2)", "name=s", cwd=tmp_path)
    sweep = simplenn.Sweep(tmp_path / "outputs" / "sweeps" / "s")
    with pytest.raises(ConfigError, match=r"one shape, .*; try weights_of\(sweep\.results\.filter\(\.\.\.\)\)"):
        _ = sweep.weights
    five = sweep.weights_of(sweep.results.filter(polars.col("model.hidden") == 5))
    assert five["layer1.weight"].shape == (2, 5, 3)


@pytest.mark.parametrize("which", ["last", "best"])
def test_a_run_of_the_sweep_is_the_network_of_its_directory(
    which: str, grown: Path, directories: dict[str, Run]
) -> None:
    """Without one being written; by any spelling of its name."""
    sweep = simplenn.Sweep(grown)
    before = sorted(grown.rglob("*"))
    for name in (sweep.results["run"][0], sweep.results["run"][-1]):
        network, oracle = sweep.run(name, which), simplenn.load_run(directories[name].directory, which)
        assert all(torch.equal(w, oracle.state_dict()[key]) for key, w in network.state_dict().items())
        assert network.epoch == oracle.epoch and not network.training
        assert network.config["optimizer"] == oracle.config["optimizer"]
        assert network.config["seed"] == oracle.config["seed"]
        assert network([1, 2, 3]) == oracle([1, 2, 3])
    assert sorted(grown.rglob("*")) == before
    assert sweep.run("seed=4").name == sweep.run("seed=4.0").name
    with pytest.raises(ConfigError, match="is not a run of the sweep; did you mean"):
        sweep.run("seed=44")


def test_no_damaged_number_is_shown(grown: Path, tmp_path: Path) -> None:
    """A bit that has turned in any file of a part refuses what is read from that file, in one line."""
    reads = {
        "runs.parquet": lambda sweep: sweep.results,
        "curves.parquet": lambda sweep: sweep.curves,
        "weights.safetensors": lambda sweep: sweep.weights,
        "checkpoints.safetensors": lambda sweep: sweep.run(sweep.results["run"][0]),
        "structure.json": lambda sweep: sweep.results,
    }
    for name, read in reads.items():
        copy = tmp_path / name
        shutil.copytree(grown, copy)
        file = next(iter(sorted(copy.glob(f"stacks/*/{name}"))))
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"is damaged|can't be read") as refusal:
            read(simplenn.Sweep(copy))
        assert "\n" not in str(refusal.value)


def test_what_is_no_sweep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(ConfigError, match=r"must be a sweep's directory"):
            simplenn.Sweep(path)


def test_a_sweep_without_runs_has_empty_frames_and_no_best(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    sweep = simplenn.Sweep(tmp_path)
    assert len(sweep.results) == len(sweep.curves) == 0 and sweep.weights == {}
    with pytest.raises(ConfigError, match=r"must have runs|must have a run"):
        sweep.best()
