"""Texts in results.csv that a spreadsheet program would run."""

import pytest

from simplenn.sweep.cells import harmless


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "-cmd", "+cmd|' /C calc'!A0", "\t=1", " =1", "-1+2", "-0.5-x"])
def test_what_would_run_is_text(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-0.5", "+1e-3", "-inf", "nan", "-.5", "relu", "[0.9,0.99]", "", "'quoted", "a=b"])
def test_numbers_and_other_texts_stay(text: str) -> None:
    assert harmless(text) == text
