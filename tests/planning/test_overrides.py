"""Overrides as they were typed, and what they say."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from simplenn.planning import as_text, naming, unquoted
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


AWKWARD = 'it\'s a $1, \\ "x" = [1] {2} # 100 %'
OF_OTHER_KINDS = ["42_2", "1e-3", "null", "True", "a,b", "a=b", "f(x)", "range(3)", "[a]", "{a:1}", "", "${x", "'a'"]
ODD = ["mein ä", " x ", "~a", "'", '"', "\\", "\\'", '\\"', "a\\", "'\\\\''", '"\\\\""', "a\nb", AWKWARD]


@pytest.mark.parametrize("text", [*OF_OTHER_KINDS, *ODD])
def test_any_text_is_a_value_of_hydras_grammar(text: str) -> None:
    """The parser gives back the text, to the character, and takes it for neither a number nor a list of points."""
    override = OverridesParser.create().parse_override(f"hydra.run.dir={as_text(text)}")
    assert override.value() == text
    assert override.is_sweep_override() is False


@given(st.text("aä\\'\"=,$ ({[:"))
def test_so_is_any_mixture_of_hydras_signs(text: str) -> None:
    assert OverridesParser.create().parse_override(f"key={as_text(text)}").value() == text


@pytest.mark.parametrize("text", ["first_try", "2026-01-31_12-00-00", "../sweeps/a b", "lr=$1"])
def test_a_text_has_no_quotes_where_it_takes_none(text: str) -> None:
    assert (as_text(text) == text) is ("=" not in text)


@pytest.mark.parametrize(
    ("directory", "override"),
    [
        ("outputs/runs/x", "name=x"),
        ("outputs/runs/a,b", 'name="a,b"'),
        ("outputs/sweeps/x", "hydra.run.dir=outputs/sweeps/x"),
        ("outputs/runs/mein ä", 'hydra.run.dir="outputs/runs/mein ä"'),
        ("mein ä", 'hydra.run.dir="mein ä"'),
    ],
)
def test_a_directory_is_named_as_commands_name_it(directory: str, override: str) -> None:
    assert naming(Path(directory), "run") == naming(Path.cwd() / directory, "run") == override
