"""One value has one text, however it was written and wherever it stands."""

import polars
import pytest

from simplenn.sweep.told import all_canonical, canonical, decoded, told_by


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[0.9,0.999]", "[0.9, 0.999]"),
        ("[0.9, 0.999]", "[0.9, 0.999]"),
        ("[a,'b c']", '["a", "b c"]'),
        ("{a:1,b:[2]}", '{"a": 1, "b": [2]}'),
        ("True", "true"),
        ("false", "false"),
        ("NULL", "null"),
        ("'a b'", "a b"),
        ("1e-2", "1e-2"),
        ("[", '"["'),
        ("", ""),
    ],
)
def test_a_text_is_that_of_its_value(text: str, told: str) -> None:
    assert canonical(text) == told
    assert all_canonical(polars.Series([text, "x"])).to_list() == [told, "x"]


def test_columns_and_configurations_have_the_same_texts() -> None:
    assert decoded(polars.Series(["[0.9, 0.999]", "true", "null"])).to_list() == ["[0.9, 0.999]", "true", "null"]
    assert decoded(polars.Series(["1", "2.5"])).to_list() == [1.0, 2.5]
    cfg = {"a": {"b": [0.9, 0.999], "c": True, "d": None, "e": "relu", "f": 0.01}}
    assert [told_by(f"a.{key}", cfg, {}) for key in "bcdefg"] == [
        "[0.9, 0.999]",
        "true",
        "null",
        "relu",
        "0.01",
        "null",
    ]
