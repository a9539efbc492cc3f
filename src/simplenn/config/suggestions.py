"""Did you mean ...? The nearest of the words or numbers that there are, for the line that refuses another."""

import difflib
import math
from collections.abc import Collection, Sequence

MOST_LISTED = 50


def closest(word: str, words: Collection[str], count: int = 1) -> list[str]:
    """At most `count` of the words that are like this one, the most alike first."""
    return difflib.get_close_matches(word, words, n=count, cutoff=0.5)


def did_you_mean(word: str, words: Sequence[str], count: int = 1) -> str:
    """`did you mean ...?` with the closest of the words, or a list of them where none is like it."""
    near = closest(word, words, count)
    return f"did you mean {' or '.join(near)}?" if near else there_are(words)


def there_are(words: Sequence[str]) -> str:
    return "there are: " + ", ".join([*words[:MOST_LISTED], "..."] if len(words) > MOST_LISTED else words)


def distance(one: str, other: str) -> float:
    """How far two values are from each other: 0 where they are equal (0.01 and 1e-2 are), from 1 up to but without 2
    for two numbers, by their ratio where both are positive, and 2 for anything else.

    A learning rate of a sweep is one of many similar texts: the nearest number says more than the most similar text.
    """
    if one == other:
        return 0.0
    try:
        a, b = float(one), float(other)
    except ValueError:
        return 2.0
    if a == b:
        return 0.0
    apart = abs(math.log(a) - math.log(b)) if 0 < a < math.inf and 0 < b < math.inf else abs(a - b)
    return 1 + apart / (1 + apart) if math.isfinite(apart) else 2.0
