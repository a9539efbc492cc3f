"""The odd runs of a sweep: they are found, with one of them by name, and others are left in peace."""

from pathlib import Path

import numpy as np
import polars
from studies import runs_of

from simplenn.report import Study, study_of_runs
from simplenn.report.odd import odd_ones


def study(status: list[str] | None = None, r2: list[float] | None = None, **columns: list) -> Study:
    runs = runs_of(**columns, **({"status": status} if status else {}))
    return study_of_runs([Path("sweep")], runs.with_columns(**{"final/val/r2": polars.Series(r2)}) if r2 else runs)


def found(own: Study) -> list[tuple[str, str, int, int, str]]:
    return [(odd.kind, odd.setting, odd.count, odd.n, odd.example) for odd in odd_ones(own)]


def test_diverged_runs_are_odd_ones() -> None:
    own = study(["done", "diverged", "diverged", "diverged"], key_a=list("xxyy"), final=[1.0, 2, 3, 4])
    assert found(own) == [("diverged", "a=x", 1, 2, "run1"), ("diverged", "a=y", 2, 2, "run2")]


def test_runs_that_have_learned_nothing_are_odd_however_many_they_are() -> None:
    """Few of a setting, three quarters or all."""
    r2 = [0.9, 0.9, 0.9, 0.0, -0.1] + [0.0] * 5 + [0.0, 0.0, 0.0, 0.9, 0.9] + [0.3, 0.3, 0.3, 0.3, 0.0]
    own = study(r2=r2, key_a=list("xxxxxyyyyyzzzzzwwwww"), final=[1.0, 1, 1, 6, 7, *[6.0] * 5, *[3.0] * 10])
    assert [one[:4] for one in found(own)] == [
        ("dead", "a=x", 2, 5),
        ("dead", "a=z", 3, 5),
        ("dead", "a=w", 1, 5),
        ("dead", "a=y", 5, 5),
    ]
    assert found(own)[0][4] == "run4"


def test_a_run_far_from_its_siblings_is_odd_by_ratio() -> None:
    """Losses lie over orders of magnitude: 100 times the median is far where the others are within a factor of 2."""
    rng = np.random.default_rng(0)
    near = np.exp(rng.normal(0, 0.3, 40)).tolist()
    assert found(study(key_a=["x"] * 41 + ["y"], final=[*near, 100.0, 1.0])) == [("far", "a=x", 1, 41, "run40")]
    wide = np.exp(rng.normal(0, 3, 40)).tolist()
    assert found(study(key_a=["x"] * 41 + ["y"], final=[*wide, 100.0, 1.0])) == []
    lucky = [*near, 1e-9]
    assert found(study(key_a=["x"] * 41 + ["y"], final=[*lucky, 1.0])) == []


def test_equal_siblings_make_no_rounding_odd() -> None:
    assert found(study(key_a=["x"] * 9 + ["y"], final=[6.0] * 8 + [6.001, 1.0])) == []
    assert found(study(key_a=["x"] * 9 + ["y"], final=[0.0] * 8 + [6.0, 1.0])) == [("far", "a=x", 1, 9, "run8")]


def test_few_runs_have_no_far_one() -> None:
    assert found(study(key_a=["x"] * 4 + ["y"], final=[1.0, 1, 1, 1e6, 1.0])) == []


def test_a_run_is_odd_once() -> None:
    """A dead one is far, too."""
    own = study(r2=[0.9] * 9 + [0.0], key_seed=list(range(10)), final=[0.01] * 9 + [6.0])
    assert [odd.kind for odd in odd_ones(own)] == ["dead"]
