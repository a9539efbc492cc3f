"""What a run's network predicts for a row of numbers: python scripts/predict.py outputs/runs/first_try 1 2 3

In place of the numbers, a .csv file or standard input (-) gives several rows.
"""

from simplenn import signals

if __name__ == "__main__":
    signals.install()  # before the imports that take time


import csv
import math
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from simplenn.command import run_command, run_parser
from simplenn.errors import ConfigError
from simplenn.rundir import find_run

STANDARD_INPUT = 0  # its descriptor, as `sys.stdin` doesn't skip a byte-order mark nor leave line ends to csv
MOST_SHOWN = 80  # characters of what is refused


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument("numbers", nargs="*", help="one row of numbers, a .csv file, or - for standard input")
    # argparse takes -1e-3 for an option, so that such a number is given to it behind a space.
    given = [f" {text}" if text.startswith("-") and _is_number(text) else text for text in sys.argv[1:]]
    arguments = parser.parse_intermixed_args(given)
    run = find_run(arguments.run)
    rows = read_rows([text.strip() for text in arguments.numbers])

    from simplenn.evaluation import load_run, predict

    regressor, data, _ = load_run(run, arguments.checkpoint, arguments.allow)
    for prediction in predict(regressor, data, list(rows.values()), list(rows))[:, 0].tolist():
        print(f"{prediction:.4f}")


def read_rows(numbers: list[str]) -> dict[str, list[float]]:
    """The rows that the arguments `numbers` stand for, by where each stands. Raises `ConfigError`."""
    if not numbers and os.isatty(STANDARD_INPUT):
        raise ConfigError("predict.py must be given numbers, a .csv file or - for standard input, got none; try 1 2 3")
    if numbers in ([], ["-"]):
        rows = _read(STANDARD_INPUT, "standard input")
    elif len(numbers) == 1 and numbers[0].lower().endswith(".csv"):
        rows = _read(numbers[0], numbers[0])
    else:
        rows = _parse([("row 1", numbers)])
    if not rows:
        raise ConfigError("there must be at least one row of numbers, got none; put commas or spaces between them")
    return rows


def _read(file: str | int, source: str) -> dict[str, list[float]]:
    try:
        # an escape in place of what is no text: then the line that has it is told
        with open(file, newline="", encoding="utf-8-sig", errors="backslashreplace", closefd=file != 0) as stream:
            return _parse(_lines(stream, source), has_header=True)
    except OSError as error:
        raise ConfigError(f"{source} must be a readable .csv file: {error}") from None


def _lines(stream: TextIO, source: str) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(stream)
    try:
        for cells in reader:
            yield f"line {reader.line_num} of {source}", cells
    except csv.Error as error:
        raise ConfigError(f"line {reader.line_num} of {source} must be numbers with commas between: {error}") from None


def _parse(lines: Iterable[tuple[str, list[str]]], *, has_header: bool = False) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {}
    for place, cells in lines:
        cells = cells[0].split() if len(cells) == 1 else cells  # numbers apart by spaces
        if not any(map(str.strip, cells)):
            continue
        may_be_header, has_header = has_header, False
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            if may_be_header and not any(map(_is_number, cells)):
                continue
            raise ConfigError(f"{place} must be numbers, got {','.join(cells)!r:.{MOST_SHOWN}}") from None
        if not all(map(math.isfinite, row)):
            raise ConfigError(f"{place} must be finite numbers, got {','.join(cells)!r:.{MOST_SHOWN}}")
        rows[place] = row
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    run_command(main, output_is_product=True)
