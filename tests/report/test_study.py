"""The runs of a sweep by their settings: medians over seeds, in which a diverged run counts as worst."""

from pathlib import Path

import numpy as np
import polars
import pytest
from conftest import script
from studies import runs_of

from simplenn.errors import ConfigError
from simplenn.report.runs import once_each
from simplenn.report.settings import ONE_SETTING, quantiles, texts_of
from simplenn.report.study import study_of, study_of_runs

QUICK = ("experiment=post", "trainer=cpu", "progress=none", "trainer.max_epochs=5", "run_dirs=none")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two optimizers, two learning rates of which one diverges, five seeds."""
    root = tmp_path_factory.mktemp("study")
    grid = ("optimizer=sgd,adam", "optimizer.lr=0.01,1e20", "seed=range(5)", "name=study")
    script("train.py", "-m", *QUICK, *grid, cwd=root)
    return root / "outputs" / "sweeps" / "study"


def test_a_study_has_each_run_and_each_setting(sweep: Path) -> None:
    """With the runs as results.csv has them, and the medians of their objectives, best first."""
    study = study_of([sweep])
    table = polars.read_csv(sweep / "results.csv")
    assert study.runs.select(table.columns).equals(table)
    assert (study.keys, study.numbers, study.family, study.seed) == (
        ["optimizer", "optimizer.lr"],
        ["optimizer.lr"],
        "optimizer",
        "seed",
    )
    assert study.objective == "train/loss" and not study.notes
    assert study.settings["n"].to_list() == [5] * 4
    medians = study.settings["median"].to_list()
    assert medians == sorted(medians)
    worst = study.settings.row(-1, named=True)
    assert (worst["optimizer.lr"], worst["median"], worst["diverged"]) == (1e20, np.inf, 5)
    for setting in study.settings.rows(named=True):
        own = table.filter(
            (polars.col("optimizer") == setting["optimizer"]) & (polars.col("optimizer.lr") == setting["optimizer.lr"])
        )
        if not setting["diverged"]:
            assert setting["median"] == np.median(own["train/loss"].to_numpy())
            assert setting["sd"] == pytest.approx(np.std(own["train/loss"].to_numpy(), ddof=1))


def test_quantiles_are_numpys_and_infinite_beside_a_diverged_run() -> None:
    rng = np.random.default_rng(0)
    groups = [np.sort(rng.normal(size=n)) for n in (1, 2, 3, 10, 11)]
    groups += [np.array([]), np.array([1.0, np.inf]), np.array([np.inf, np.inf]), np.array([1.0, 2.0, np.inf])]
    counts = np.array([len(group) for group in groups])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for share in (0.1, 0.5, 0.9):
        found = quantiles(np.concatenate(groups), starts, counts, share)
        assert found[:5].tolist() == pytest.approx([np.quantile(group, share) for group in groups[:5]])
        assert np.isnan(found[5]) and found[6] == found[7] == np.inf
    assert quantiles(np.concatenate(groups), starts, counts, 0.5)[8] == 2.0


def test_a_diverged_run_is_the_worst_and_a_failed_one_is_none() -> None:
    """Of three settings, the one of which half diverged comes behind a worse one of which none did; one of which all
    failed is last; no number is NaN."""
    status = ["done", "done", "done", "diverged", "done", "failed", "failed", "interrupted"]
    final = [5.0, 6.0, 1.0, 2.0, 7.0, 1, None, 0.1]
    study = study_of_runs([Path()], runs_of(key_a=list("xxyyzzww"), final=final, status=status))
    assert study.settings["a"].to_list() == ["x", "z", "y", "w"]
    rows = {row["a"]: row for row in study.settings.rows(named=True)}
    assert (rows["y"]["median"], rows["y"]["mean"], rows["y"]["sd"], rows["y"]["n"]) == (np.inf, np.inf, np.inf, 2)
    assert (rows["z"]["median"], rows["z"]["n"], rows["z"]["failed"], rows["z"]["sd"]) == (7.0, 1, 1, None)
    assert (rows["w"]["median"], rows["w"]["n"], rows["w"]["failed"], rows["w"]["unfinished"]) == (None, 0, 1, 1)
    assert study.runs["value"].to_list() == [5, 6, 1, np.inf, 7, None, None, None]


def test_only_the_seed_is_swept() -> None:
    study = study_of_runs([Path()], runs_of(key_seed=[0, 1, 2], final=[3.0, 1.0, 2.0]))
    assert (study.keys, study.numbers, study.family) == ([], [], None)
    assert study.settings["setting"].to_list() == [ONE_SETTING] and study.settings["median"].to_list() == [2.0]
    assert study.runs["setting"].to_list() == [ONE_SETTING] * 3


def test_a_key_that_some_runs_lack_is_a_number_all_the_same() -> None:
    study = study_of_runs([Path()], runs_of(key_m=["null", "0.5", "0.9", "null"], final=[1.0, 2, 3, 4]))
    assert study.numbers == ["m"] and study.settings["n"].to_list() == [1, 2, 1]
    assert study.settings["setting"].to_list() == ["m=0.5", "m=null", "m=0.9"]


def test_runs_without_validation_are_compared_by_what_all_have() -> None:
    """And a sentence says so."""
    runs = runs_of(key_a=["x", "y"], final=[1.0, None]).with_columns(polars.Series("final/train/loss", [4.0, 3.0]))
    study = study_of_runs([Path()], runs)
    assert study.objective == "train/loss" and study.settings["median"].to_list() == [3, 4]
    assert study.notes == ["1 of 2 runs have no val/loss, so all are compared by train/loss."]


def test_numbers_are_read_with_as_few_digits_as_tell_them_apart() -> None:
    assert texts_of(polars.Series([0.01, 1.0, None, 1e-5])) == ["0.01", "1", None, "1e-05"]
    assert texts_of(polars.Series([0.1, 0.1 + 1e-9])) == ["0.1", "0.100000001"]
    assert texts_of(polars.Series([0.012345678, 2.0])) == ["0.0123457", "2"]


def test_several_sweeps_are_one_study(sweep: Path) -> None:
    """A key that is constant in each and not the same in both counts as swept; a run that both have counts once."""
    root = sweep.parents[2]
    for name, words in (("one", ("optimizer=sgd",)), ("two", ("optimizer=adam",)), ("three", ("optimizer=adam",))):
        done = script("train.py", "-m", *QUICK, *words, "seed=1,2", f"name={name}", cwd=root)
        assert done.returncode == 0, done.stderr
    study = study_of([sweep.parent / name for name in ("one", "two", "three")])
    assert study.keys == ["optimizer"] and study.settings["n"].to_list() == [2, 2]
    assert study.notes[0] == "2 runs are in more than one of the sweeps, and count once."
    assert sorted(study.places["sweep"].to_list()) == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must be a sweep's directory, and is missing"),
        ({}, "must be a sweep's directory, but has no results.csv"),
        ({"multirun.yaml": ""}, "must have runs to report on, and has none yet"),
        ({"results.csv": "run,lr,status,epoch\n"}, "must have runs to report on, and has none yet"),
        ({"results.csv": "run,lr\na,1\n"}, "must have the column status, and has run, lr"),
        ({"results.csv": "run,lr,status,epoch\na,1,done,3\n"}, "must have val/loss or train/loss to be compared"),
        ({"results.csv": "run,n,status,epoch,val/loss\na,1,done,3,1\n"}, "a swept key must not be called n"),
        ({"results.csv": "run,lr,status,epoch,val/loss\na,1,done,x,3\n"}, "must have numbers for epoch"),
        ({"results.csv": "run,lr,status,epoch,val/loss\na,1,done,3,abc\n"}, "must have numbers for val/loss"),
        ({"results.csv": "run,lr,status,epoch,val/loss\na,1,well,3,1\n"}, "for status, and has well"),
        ({"results.csv": "", "structures.json": ""}, "of an earlier release"),
    ],
)
def test_bad_input_is_refused_in_one_line(content: dict[str, str] | None, message: str, tmp_path: Path) -> None:
    directory = tmp_path / "it"
    if content is not None:
        directory.mkdir()
        for name, text in content.items():
            (directory / name).write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        study_of([directory])
    assert "\n" not in str(raised.value)


def test_a_table_that_lies_alone_is_read(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("run,lr,seed,status,epoch,val/loss\na,1,0,done,3,1.5\nb,1,1,diverged,3,\n")
    study = study_of([tmp_path])
    assert study.keys == ["lr"] and study.runs["value"].to_list() == [1.5, np.inf]


def test_a_sweep_whose_runs_have_all_failed_has_settings_without_numbers() -> None:
    """It is no error: how they failed is what there is to tell."""
    runs = runs_of(status=["failed"] * 4, key_lr=[0.1, 0.1, 0.2, 0.2])
    study = study_of_runs([Path("s")], runs)
    assert study.settings["failed"].to_list() == [2, 2] and study.settings["n"].to_list() == [0, 0]
    assert study.settings["median"].null_count() == 2 and study.runs["value"].null_count() == 4


def test_a_sweep_that_is_named_twice_counts_once(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = study_of([sweep])
    monkeypatch.chdir(sweep.parent)
    assert study_of([sweep, Path(sweep.name)]).settings.equals(once.settings)


def test_of_two_copies_of_a_run_the_one_that_has_ended_counts() -> None:
    """A later sweep may have it too, and have been cut off."""
    runs = runs_of(
        key_seed=[1, 1, 2, 2], final=[1.0, None, 2.0, None], status=["done", "failed", "done", "interrupted"]
    )
    runs = runs.with_columns(identity=polars.Series(["a", "a", "b", "b"]))
    assert once_each(runs)["status"].to_list() == ["done", "done"]
    again = once_each(runs.reverse())
    assert again["status"].to_list() == ["done", "done"] and again["key/seed"].to_list() == [2, 1]


def test_runs_without_validation_are_told_of_where_others_have_one() -> None:
    runs = runs_of(key_seed=[1, 2, 3], final=[1.0, 2.0, None])
    notes = study_of_runs([Path("sweep")], runs).notes
    assert any("1 of 3 runs that are done have no val/loss, and don't count" in note for note in notes), notes


def test_a_setting_is_one_however_its_values_were_said(tmp_path: Path) -> None:
    """A list and a boolean in a stack's column, in a single run's override, and in the configuration; a group whose
    options make no other setting, as `trainer`; and a run that was found to be the same counts once."""
    words = ("experiment=post", "trainer.max_epochs=2", "progress=none", "optimizer=adam", "name=grown")
    betas = "optimizer.betas=[0.9,0.999],[0.8,0.99]"
    for more in (
        ("seed=1,2", "trainer=auto", betas, "optimizer.amsgrad=false"),
        ("seed=1,2,3", "trainer=cpu", betas, "optimizer.amsgrad=False", "hydra/launcher=basic"),
        ("seed=1,2,3,4", "trainer=cpu", "optimizer.betas=[0.9, 0.999],[0.8, 0.99]"),
    ):
        done = script("train.py", "-m", *words, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    study = study_of([tmp_path / "outputs" / "sweeps" / "grown"])
    assert study.keys == ["optimizer.betas"] and study.settings["n"].to_list() == [4, 4], study.settings
    assert sorted(study.settings["optimizer.betas"]) == ["[0.8, 0.99]", "[0.9, 0.999]"]


def test_a_group_whose_options_differ_counts(tmp_path: Path) -> None:
    """Two sweeps, in stacks and one by one, of other data, which is noted."""
    for name, more in (("one", ("experiment=post",)), ("two", ())):
        words = ("trainer=cpu", "trainer.max_epochs=1", "progress=none", "seed=1,2", "hydra/launcher=basic")
        done = script("train.py", "-m", *words, *more, f"name={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    study = study_of([tmp_path / "outputs" / "sweeps" / name for name in ("one", "two")])
    assert study.keys == ["experiment"] and study.settings["n"].to_list() == [2, 2]
    assert any(note.startswith("settings differ in their data (data._target_") for note in study.notes), study.notes


def test_a_table_alone_is_read_beside_another_sweep(sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("run,seed,status,epoch,val/loss\na,0,done,3,1.5\nb,1,failed,0,\n")
    study = study_of([tmp_path, sweep])
    assert study.runs["run"].to_list()[:2] == ["a", "b"] and len(study.runs) > 2
