"""What a field of the schema says of its key beside the type: the rule that its value keeps, and the key's kind."""

import math
from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from typing import Any

from simplenn.errors import ConfigError

SEED_LIMIT = 2**32


class Kind(StrEnum):
    """What a key says of a run."""

    SETTING = "setting"  # what is trained and how: another value makes another run
    SEED = "seed"  # which of the runs of one setting
    LENGTH = "length"  # how long: a run with a larger value is the same run, gone on with
    EXECUTION = "execution"  # by which machinery: the numbers are the same, up to rounding
    COMMAND = "command"  # what the command prints, checks and writes beside: the numbers are the same


def rule(text: str, example: Any, holds: Callable[[Any], bool] = lambda value: True) -> Any:
    """A setting with the rule that its value must keep, in words and as a test, and a valid example."""
    default = (lambda: list(example)) if isinstance(example, list) else (lambda: example)
    metadata = {"rule": text, "example": example, "holds": holds, "kind": Kind.SETTING, "one_per_command": False}
    return field(default_factory=default, metadata=metadata)


def of_kind(kind: Kind, key: Any, *, one_per_command: bool = False) -> Any:
    """The same key as one of another kind than a setting.

    A key with `one_per_command` is that of a whole command: the jobs of a sweep can't differ in it, and a resume
    doesn't take it over from the run.
    """
    return field(
        default_factory=key.default_factory,
        metadata={**key.metadata, "kind": kind, "one_per_command": one_per_command},
    )


def of_the_command(key: Any) -> Any:
    return of_kind(Kind.COMMAND, key, one_per_command=True)


def all_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def positive(example: float) -> Any:
    return rule("a positive number", example, lambda v: v > 0)


def not_negative(example: float) -> Any:
    return rule("a number of 0 or more", example, lambda v: v >= 0)


def fraction(example: float) -> Any:
    return rule("a number from 0 up to but without 1", example, lambda v: 0 <= v < 1)


def count(example: int | None, least: int = 1) -> Any:
    return rule(f"a whole number of {least} or more", example, lambda v: v is None or v >= least)


def one_of(*choices: Any) -> Any:
    return rule(
        "one of " + ", ".join("null" if choice is None else str(choice) for choice in choices),
        choices[0],
        lambda v: v in choices,
    )


def switch(example: bool) -> Any:
    return rule("true or false", example)


def refuse_fewer_epochs(num_epochs: int, num_done: int, who_has: str, what: str) -> None:
    """What is gone on with, a run or a sweep, has a length of no fewer epochs than are done. Raises `ConfigError`."""
    if num_epochs < num_done:
        raise ConfigError(
            f"trainer.max_epochs must be at least {num_done}, the epochs that {who_has} done, got {num_epochs}; "
            f"try trainer.max_epochs={num_done}, or start a new {what} under another name"
        )


def seed_number() -> Any:
    return rule(f"a whole number from 0 to {SEED_LIMIT - 1}", 0, lambda v: 0 <= v < SEED_LIMIT)
