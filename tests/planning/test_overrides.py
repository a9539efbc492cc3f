"""Overrides as they were typed, and what they say."""

import pytest

from simplenn.planning import unquoted
from simplenn.planning.overrides import plain_values_of


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("relu", "relu"),
        ("'a b'", "a b"),
        ('"a=b,c"', "a=b,c"),
        (r"'it\'s'", "it's"),
        ("'", "'"),
        ("'a\"", "'a\""),
        ("", ""),
    ],
)
def test_a_text_in_quotes_is_what_is_between_them(text: str, plain: str) -> None:
    assert unquoted(text) == plain
    assert plain_values_of([f"+model.kind={text}", "hydra.verbose=true"]) == {"model.kind": plain}
