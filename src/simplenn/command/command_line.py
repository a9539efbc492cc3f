"""The words of a command that neither argparse nor Hydra's grammar can read: each is refused in one line."""

import argparse
import re
import sys
from typing import NoReturn

from hydra.errors import OverrideParseException

from simplenn.config import known_names
from simplenn.errors import ConfigError


def refuse_in_one_line() -> None:
    """Lets argparse, Hydra's use of it too, raise `ConfigError` where it would print all of a script's options."""
    argparse.ArgumentParser.error = _refuse


def _refuse(self: argparse.ArgumentParser, message: str) -> NoReturn:
    found = re.fullmatch(r"unrecognized arguments: (\S+).*", message)
    if found is None or "[overrides ...]" not in self.format_usage():  # the words that Hydra's own parser takes
        raise ConfigError(f"{self.prog}: {message}; {self.prog} --help says what it takes")
    if not found[1].startswith("-"):
        option = _option_before(found[1])
        raise ConfigError(
            f"{self.prog} takes options before all keys, got {option} before {found[1]}; put {option} first"
        )
    word, _, value = found[1].partition("=")
    key = next(iter(_alike(word)), None)
    hint = f"try {key}={value or _behind(word) or '...'}" if key else f"{self.prog} --help lists the keys"
    raise ConfigError(f"{self.prog} takes keys as KEY=VALUE, got {word}; {hint}")


def _alike(word: str) -> list[str]:
    """The keys that an option of this name may mean, the likeliest first."""
    name = word.lstrip("-").replace("-", "_").lower()
    names = [key for key in known_names() if len(name) > 1 and name in key.rpartition(".")[2]]
    return sorted(names, key=lambda key: (key.rpartition(".")[2] != name, len(key)))


def _option_before(word: str) -> str:
    """The last option that the command has before the word."""
    words = sys.argv[1:]
    before = words[: words.index(word)] if word in words else words
    return next((own for own in reversed(before) if own.startswith("-")), "an option")


def _behind(word: str) -> str:
    """What the command has behind the word, where it may be its value."""
    words = sys.argv[1:]
    value = words[words.index(word) + 1] if word in words[:-1] else ""
    return "" if "=" in value or value.startswith("-") else value


def _apart(word: str) -> list[str]:
    """The words of the command that were meant as one, as `lr = 0.1`, `lr =0.1` or `lr= 0.1`, where it has these."""
    words = ["", *sys.argv[1:], "", ""]
    place = words.index(word) if word in words else 0
    before, after = words[place - 1], words[place + 1]
    if before.endswith("="):
        return [before, word]
    if after == "=":
        return [word, after, words[place + 2]]
    return [word, after] if after.startswith("=") else []


def unreadable(error: OverrideParseException) -> str:
    """What is wrong with a word that Hydra's grammar can't read, and how to write it."""
    word = error.override
    key, sign, value = word.partition("=")
    if not sign:
        if apart := _apart(word):
            return f"a key and its value must be one word, got '{' '.join(apart)}'; try {''.join(apart)}"
        if ":" in word:
            return f"a key must be set as KEY=VALUE, got {word!r}; try {word.replace(':', '=', 1)}"
        return f"a key must be set as KEY=VALUE, got {word!r}; try {word}=..."
    return (
        f"{key} must have a value that Hydra can read, got {value!r}; "
        f"""close its brackets, or quote what is text: '{key}="..."'"""
    )
