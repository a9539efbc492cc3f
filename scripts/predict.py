"""What a run's network makes of numbers: python scripts/predict.py outputs/runs/first_try 1 2 3

Several rows come from a .csv file in place of the numbers, or from standard input (-).
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterable

from simplenn.arguments import run_parser
from simplenn.command import run_command
from simplenn.refusal import ConfigError
from simplenn.run import find_run


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument(
        "numbers", nargs=argparse.REMAINDER, help="one row of numbers, a .csv file, or - for standard input"
    )
    arguments = parser.parse_args()
    run = find_run(arguments.run)
    rows = read_rows(arguments.numbers)

    from simplenn.evaluation import load_run, predict

    regressor, _, _ = load_run(run, arguments.checkpoint, arguments.allow)
    for prediction in predict(regressor, rows)[:, 0].tolist():
        print(f"{prediction:.4f}")


def read_rows(words: list[str]) -> list[list[float]]:
    """The rows that the arguments stand for. Raises `ConfigError`."""
    if words in ([], ["-"]):
        if not words and sys.stdin.isatty():
            raise ConfigError(
                "predict.py must be given numbers, a .csv file or - for standard input, got none; try 1 2 3"
            )
        rows = _parse(csv.reader(sys.stdin), "standard input")
    elif len(words) == 1 and words[0].lower().endswith(".csv"):
        try:
            with open(words[0], newline="", encoding="utf-8-sig") as stream:
                rows = _parse(csv.reader(stream), words[0])
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ConfigError(f"{words[0]} must be a readable .csv file: {error}") from None
    else:
        rows = _parse([words], "the arguments")
    if not rows:
        raise ConfigError("there must be at least one row of numbers, got none")
    return rows


def _parse(lines: Iterable[list[str]], source: str) -> list[list[float]]:
    rows: list[list[float]] = []
    for number, words in enumerate(lines, 1):
        words = words[0].split() if len(words) == 1 else words
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            if number == 1 and source != "the arguments" and not any(_is_number(word) for word in words):
                continue  # a header
            raise ConfigError(f"row {number} of {source} must be numbers, got {','.join(words)!r}") from None
        if not all(map(math.isfinite, row)):
            raise ConfigError(f"row {number} of {source} must be finite numbers, got {','.join(words)!r}")
        rows.append(row)
    return rows


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    run_command(main)
