"""What a run's network makes of numbers: python scripts/predict.py outputs/runs/first_try 1 2 3

Several rows come from a .csv file in place of the numbers, or from standard input (-).
"""

import csv
import math
import os
import sys
from collections.abc import Iterable

from simplenn.command.arguments import run_parser
from simplenn.command.exit_status import run_command
from simplenn.errors import ConfigError
from simplenn.rundir.run import find_run

STANDARD_INPUT = 0  # its descriptor: Python's own stream knows no byte-order mark and no CR


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument("numbers", nargs="*", help="one row of numbers, a .csv file, or - for standard input")
    # argparse takes -1e-3 for an option, but nothing that begins with a space
    words = [f" {word}" if word.startswith("-") and _is_number(word) else word for word in sys.argv[1:]]
    arguments = parser.parse_intermixed_args(words)
    run = find_run(arguments.run)
    rows = read_rows([word.strip() for word in arguments.numbers])

    from simplenn.evaluation import load_run, predict

    regressor, data, _ = load_run(run, arguments.checkpoint, arguments.allow)
    for prediction in predict(regressor, data, rows)[:, 0].tolist():
        print(f"{prediction:.4f}")


def read_rows(words: list[str]) -> list[list[float]]:
    """The rows that the arguments stand for. Raises `ConfigError`."""
    if not words and os.isatty(STANDARD_INPUT):
        raise ConfigError("predict.py must be given numbers, a .csv file or - for standard input, got none; try 1 2 3")
    if words in ([], ["-"]):
        rows = _read(STANDARD_INPUT, "standard input")
    elif len(words) == 1 and words[0].lower().endswith(".csv"):
        rows = _read(words[0], words[0])
    else:
        rows = _parse([words], "the arguments")
    if not rows:
        raise ConfigError("there must be at least one row of numbers, got none")
    return rows


def _read(file: str | int, source: str) -> list[list[float]]:
    try:
        with open(file, newline="", encoding="utf-8-sig", closefd=file != STANDARD_INPUT) as stream:
            return _parse(csv.reader(stream), source)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{source} must be a readable .csv file: {error}") from None


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
