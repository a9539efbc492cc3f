"""What the terminal says of a sweep: readable at 80 columns, no number without what it rests on."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from studies import runs_of

from simplenn.report import study_of_runs
from simplenn.report.commands import Commands
from simplenn.report.comparison import ranked_runs, short_names
from simplenn.report.lines import Report, Screen
from simplenn.report.table import fitted, number, plain, rich, table_of
from simplenn.sweep.left import Left

RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]


def report_of(r2: list[float] | None = None, **columns: Any) -> Report:
    runs = runs_of(**columns)
    study = study_of_runs(
        [Path("outputs/sweeps/x")], runs.with_columns(polars.Series("final/val/r2", r2)) if r2 else runs
    )
    return Report(study, Commands(study))


def grid(num_seeds: int, optimizers: tuple[str, ...] = ("sgd", "adam"), rates: list[float] = RATES) -> dict[str, list]:
    """A loss that is least at rate 0.01, less with Adam, and that a seed makes twice as large or half."""
    cells = [(o, r, s) for o in optimizers for r in rates for s in range(num_seeds)]
    rng = np.random.default_rng(0)
    final = [
        (1 + abs(np.log10(r / 0.01))) * (1 + optimizers.index(o)) * float(np.exp(rng.normal(0, 0.5)))
        for o, r, _ in cells
    ]
    return {
        "key_optimizer": [o for o, _, _ in cells],
        "key_optimizer__lr": [r for _, r, _ in cells],
        "key_seed": [s for _, _, s in cells],
        "final": final,
    }


def flat(report: Report, **kind: Any) -> str:
    return " ".join(" ".join(report.lines(Screen(), **kind)).split())


def test_the_screen_answers_which_and_how_sure() -> None:
    report = report_of(**grid(40))
    text = flat(report)
    row = report.study.settings.row(0, named=True)
    assert "12 settings, ranked by the median val/loss of their runs (less is better)" in text
    assert f"best: sgd at 0.01: median val/loss {row['median']:.4g} over 40 runs (95 % interval " in text
    assert "adam at 0.01: median val/loss" in text
    assert "sure: sgd at 0.01 beats" in text and "over 66 pairs of settings" in text
    assert report.counts() == "480 runs: 480 done"


def test_the_table_has_the_best_ten_and_says_what_has_the_others() -> None:
    report = report_of(**grid(3))
    lines = report.lines(Screen())
    ranks = [line.split()[0] for line in lines[3:13]]
    assert [rank.rstrip("*") for rank in ranks] == [str(place) for place in range(1, 11)]
    assert "... and 2 more; summary.csv has all" in lines
    assert "... and 2 more; elsewhere" in report.lines(Screen(), rest="elsewhere")
    assert not [line for line in report.lines(Screen(), None) if line.startswith("...")]


def test_the_best_of_each_optimizer_is_in_the_table_wherever_it_stands() -> None:
    report = report_of(**grid(2, ("sgd", "adam", "rmsprop", "adagrad"), [0.01 * 1.1**k for k in range(12)]))
    marked = [line.split()[:2] for line in report.lines(Screen()) if line[:4].strip().endswith("*")]
    assert {optimizer for _, optimizer in marked} == {"sgd", "adam", "rmsprop", "adagrad"}
    assert any(int(rank.rstrip("*")) > 10 for rank, _ in marked)


@pytest.mark.parametrize("num_seeds", [1, 2, 12])
@pytest.mark.parametrize("num_keys", [1, 3, 6])
def test_nothing_but_commands_is_wider_than_80_columns(num_seeds: int, num_keys: int) -> None:
    columns = grid(num_seeds)
    for key in range(num_keys):
        columns[f"key_optimizer__a_rather_long_name_{key}"] = [0.12345 + key] * len(columns["final"])
    report = report_of(**columns)
    for line in report.lines(Screen(), None):
        assert len(line) <= 80 or "python scripts/" in line, line


def test_a_wide_table_has_one_column_for_the_setting_and_none_for_what_is_nothing() -> None:
    study = report_of(**grid(2)).study
    table = fitted(table_of(study, []), study, 50)
    assert table.heads == ["", "setting", "runs", "median", "10 %", "90 %"]
    assert table.notes[-1] == "no run diverged or failed"
    assert table.rows[0][1] == "sgd at 0.01"
    assert any(line.split()[:4] == ["1", "sgd", "at", "0.01"] for line in plain(table_of(study, []), study, 50))


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("width", [40, 48, 56, 64, 79])
@pytest.mark.parametrize("num_keys", [0, 3])
def test_a_narrow_table_says_what_each_row_is_of(num_keys: int, width: int, is_terminal: bool) -> None:
    """The setting and its median, to the last character; quantiles and counts go first, and a note says which."""
    columns = grid(2)
    for key in range(num_keys):
        columns[f"key_of_a_longer_name_{key}"] = columns["key_optimizer__lr"]
    columns["status"] = ["diverged", *["done"] * (len(columns["final"]) - 1)]
    study = report_of(**columns).study
    table = table_of(study, [], None)
    drawn = "\n".join((rich if is_terminal else plain)(table, study, width))
    text = re.sub(r"\x1b\[[\d;]*m", "", drawn)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    head, *rows = re.split(r"\n {0,2}(?=\d)", text)
    assert len(rows) == 12
    for row, name, median in zip(rows, short_names(study).values(), study.settings["median"], strict=True):
        assert {*name.split(), number(median)} - {"at"} <= set(row.split())
    left_out = " ".join(text.split()).partition("no room for ")[2]
    assert all((word in head.splitlines()[-2]) is (word not in left_out) for word in ("runs", "10 %", "90 %"))


def test_on_a_terminal_the_table_is_the_same_with_lines() -> None:
    report = report_of(**grid(2))
    lines = report.lines(Screen(100, True))
    assert any("───" in line for line in lines) and any("\x1b[" in line for line in lines)
    assert "\x1b[" not in "".join(report.lines(Screen()))


def test_one_run_of_each_setting_says_nothing_of_luck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And which command adds seeds."""
    monkeypatch.chdir(tmp_path)
    sweep = Path("outputs/sweeps/x")
    sweep.mkdir(parents=True)
    (sweep / "multirun.yaml").write_text("hydra: {}\n")
    text = flat(report_of(**grid(1)))
    assert "12 settings, ranked by val/loss, of one run each (less is better)" in text
    assert "sure: each setting has one run, so nothing can be said about luck; more seeds: " in text
    assert "python scripts/train.py -m name=x resume=true 'seed=range(20)'" in text
    assert "10 %" not in text and "interval" not in text
    text = flat(report_of(**grid(2)))
    assert "so few runs say little about luck; more seeds:" in text and "interval" not in text


def test_one_run_alone_is_reported() -> None:
    report = report_of(key_seed=[3], final=[0.5])
    assert report.counts() == "1 run: 1 done"
    text = flat(report)
    assert "one setting: val/loss (less is better)" in text and "best: all runs: val/loss 0.5 in its only run" in text
    assert "there is one run, so nothing can be said about luck" in text


def test_where_all_have_diverged_the_screen_says_so() -> None:
    text = flat(report_of(key_lr=[1.0, 2.0], final=[None, None], status=["diverged"] * 2))
    assert "best: no setting has a finite median" in text and "odd: diverged: lr 1, lr 2" in text
    assert "nan" not in text and "alone:" not in text


def test_runs_that_failed_or_are_not_finished_are_counted() -> None:
    report = report_of(
        key_a=list("xxyy"), final=[1.0, None, None, None], status=["done", "failed", "interrupted", "failed"]
    )
    assert report.counts() == "4 runs: 1 done, 2 failed, 1 interrupted"
    lines = report.lines(Screen())
    assert lines[1].split() == ["a", "val/loss", "diverged", "failed", "unfinished"]
    assert [line.split() for line in lines[3:5]] == [["1*", "x", "1", "0", "1", "0"], ["2", "y", "-", "0", "1", "1"]]


def test_odd_ones_are_told_by_kind() -> None:
    columns = grid(10, ("sgd",), [0.01, 0.1, 1.0, 10.0])
    columns["status"] = ["done"] * 29 + ["diverged"] + ["diverged"] * 10
    r2 = [0.9] * 8 + [-0.1] * 2 + [-0.2] * 10 + [0.9] * 20
    said = list(report_of(r2, **columns).odd_ones())
    assert said == [
        "diverged: sgd at 1 (1 of 10), sgd at 10 (all 10)",
        "some runs learned nothing (R2 of 0 or less; dead units, say): sgd at 0.01 (2 of 10)",
        "learned nothing (R2 of 0 or less): sgd at 0.1 (all 10)",
    ]


def test_odd_runs_are_counted_where_there_are_several_of_a_setting() -> None:
    """Of one setting just the number, of settings with a run each just the names."""
    seeds = report_of([0.9] * 8 + [-0.1] * 2, key_seed=list(range(10)), final=[0.5] * 10)
    assert next(seeds.odd_ones()) == "some runs learned nothing (R2 of 0 or less; dead units, say): 2 of 10"
    rates = report_of([0.9, -0.1, -0.1], key_lr=[0.1, 0.2, 0.3], final=[0.5, 0.6, 0.7])
    assert next(rates.odd_ones()) == "learned nothing (R2 of 0 or less): lr 0.2, lr 0.3"


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456, "0.1235"), (np.inf, "diverged"), (-np.inf, "diverged"), (None, "-"), (1e-9, "1e-09")]
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_runs_of_a_setting_are_ranked() -> None:
    report = report_of(key_a=list("xxxy"), final=[3.0, 1.0, 2.0, 9.0])
    assert ranked_runs(report.study, "a=x") == [("run1", 0), ("run2", 0), ("run0", 0)]
    assert isinstance(report.study.runs, polars.DataFrame)


def test_what_is_left_to_train_is_counted() -> None:
    """An interrupted sweep of 2,000 has more than the 1,000 that were in training."""
    status = ["done"] * 2 + ["interrupted"]
    report = report_of(key_seed=[0, 1, 2], final=[1.0, 2.0, None], status=status)
    assert report.counts() == "3 runs: 2 done, 1 interrupted"
    left = Report(replace(report.study, left=[Left(2)]), report.commands)
    assert left.counts() == "5 runs: 2 done, 1 interrupted, 2 left to train"
    longer = Report(replace(report.study, left=[Left(1, {2000: 1})]), report.commands)
    assert longer.counts() == "4 runs: 1 done, 1 interrupted, 1 left to train, 1 left to train on to epoch 2,000"
    assert list(longer.go_on()) == list(left.go_on())
    assert list(left.go_on()) == ["go on with: python scripts/train.py -m name=x resume=true"]
    assert report.has_ended
    assert not report_of(key_seed=[0], final=[None], status=["interrupted"]).has_ended


def test_an_option_of_a_group_that_isnt_there_is_said_so() -> None:
    report = report_of(key_experiment=["post", "post", "null", "null"], key_seed=[0, 1] * 2, final=[3.0, 3.0, 1.0, 1.0])
    assert [best.name for best in report.comparison.bests] == ["no experiment", "post"]
    report = report_of(key_optimizer=["sgd", "sgd"], key_experiment=["post", "null"], final=[1.0, 2.0])
    assert list(short_names(report.study).values()) == ["sgd, experiment post", "sgd, no experiment"]


def test_more_seeds_are_asked_of_the_sweeps_that_have_the_best_setting(tmp_path: Path) -> None:
    """Twice as many as they have of it."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "multirun.yaml").write_text("hydra: {}\n")
    runs = runs_of(key_a=["x"] * 30 + ["y"] * 3, key_seed=[*range(30), *range(3)], final=[2.0] * 30 + [1.0] * 3)
    study = study_of_runs(
        [tmp_path / "one", tmp_path / "two"], runs.with_columns(sweep=polars.Series([0] * 30 + [1] * 3))
    )
    (command,) = Commands(study).add_seeds()
    assert "two resume=true 'seed=range(20)'" in command


def test_bests_that_arent_named_are_counted() -> None:
    names = list("abcdefg")
    text = flat(report_of(key_optimizer=names * 3, key_seed=[s for s in range(3) for _ in names], final=[1.0] * 21))
    assert "and those of 2 more, none of them better; summary.csv has all" in text


def test_a_setting_whose_number_is_null_has_a_name() -> None:
    """But one that doesn't have the key, as an optimizer without momentum, isn't said to have none."""
    report = report_of(key_trainer__gradient_clip_val=["null", "null", "1.0", "1.0"], final=[1.0, 1.0, 2.0, 2.0])
    assert list(short_names(report.study).values()) == ["no gradient_clip_val", "gradient_clip_val 1"]
    columns = {"key_optimizer": ["sgd", "sgd", "adam"], "key_optimizer__momentum": [0.9, 0.0, None]}
    report = report_of(**columns, final=[1.0, 2.0, 3.0])
    assert list(short_names(report.study).values()) == ["sgd, momentum 0.9", "sgd, momentum 0", "adam"]


def test_an_optimizer_that_diverges_in_most_runs_is_told_of_and_beaten() -> None:
    status = ["done"] * 10 + ["diverged"] * 6 + ["done"] * 4
    columns = {"key_optimizer": ["sgd"] * 10 + ["adam"] * 10, "key_seed": [*range(10)] * 2}
    text = flat(report_of(**columns, final=[1.0] * 20, status=status))
    assert "adam: diverged in 6 of 10 runs" in text and "sgd beats adam in 6 of 10 seeds, 4 equal" in text


def test_equal_settings_are_said_to_be_equal() -> None:
    columns = {"key_optimizer": ["sgd"] * 5 + ["adam"] * 5, "key_seed": [*range(5)] * 2}
    assert "sure: sgd and adam are equal in 5 of 5 seeds" in flat(report_of(**columns, final=[1.0] * 10))
