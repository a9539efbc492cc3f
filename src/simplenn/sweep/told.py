"""What a run was told, as text: one text for one value, wherever it stands and however it was written. Imports no
torch.
"""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from simplenn.config import Kind, kind_of
from simplenn.planning import Job, unquoted, values_of

if TYPE_CHECKING:
    import polars

CACHED = 2**14
# What `canonical` may write otherwise.
VARIABLE = r"^\s*['\"\[{]|^\s*(?i:true|false|null)\s*$"


def is_told(key: str) -> bool:
    """Whether the key says something of a run, and not of the command."""
    return kind_of(key) is not Kind.COMMAND


def told_by(key: str, cfg: Any, composed: Any) -> str:
    """What a run has for a key that no override sets: the option of a group, or the configuration's value, as text."""
    try:
        choice = composed["hydra"]["runtime"]["choices"].get(key)
    except (KeyError, TypeError, AttributeError):
        choice = None
    if choice is not None:
        return str(choice)
    node = cfg
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, str) else json.dumps(node, default=str)


@lru_cache(CACHED)
def canonical(text: str) -> str:
    """The text of an override as `told_by` gives that of its value: `[0.9,0.999]` as `[0.9, 0.999]`, `True` as `true`,
    what stands in quotes without them. Numbers stay as they were written."""
    word = text.strip()
    if word.lower() in ("true", "false", "null"):
        return word.lower()
    return unquoted(text) if word[:1] not in ("[", "{") else json.dumps(_parsed(word), default=str)


def values_told(job: Job) -> dict[str, str]:
    """What the job's own keys are set to, by key."""
    return {key: canonical(text) for key, text in values_of(job).items()}


def all_canonical(column: "polars.Series") -> "polars.Series":
    """As `canonical`, of each text."""
    texts = column.filter(column.str.contains(VARIABLE)).unique().to_list()
    return column.replace(texts, [canonical(text) for text in texts]) if texts else column


def decoded(column: "polars.Series") -> "polars.Series":
    """Of JSON texts: numbers where all are numbers, else texts."""
    import polars

    values = [json.loads(text) for text in column.to_list()]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return polars.Series([float(value) for value in values])
    return polars.Series([value if isinstance(value, str) else json.dumps(value) for value in values])


def number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _parsed(text: str) -> Any:
    """A list or a group; the text itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    from hydra.core.override_parser.overrides_parser import OverridesParser

    try:
        return OverridesParser.create().parse_override(f"key={text}").value()
    except Exception:  # what no parser takes is shown as it is
        return text
