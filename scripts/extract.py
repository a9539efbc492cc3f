"""Writes the directory of a run that trained in a sweep: python scripts/extract.py outputs/sweeps/lr_study 'seed=3'

The directory is made in runs/ of the sweep's, with the content that the same run leaves when it trains by itself.
"""

from simplenn import signals

if __name__ == "__main__":
    signals.install()  # before the imports that take time


import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.command import run_command
from simplenn.errors import ConfigError
from simplenn.rundir import review_command
from simplenn.scripts import script_command
from simplenn.sweep.choosing import find_all, parse, where
from simplenn.sweep.results import refuse_no_sweep, table_of

if TYPE_CHECKING:
    import polars

MOST_SHOWN = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="the sweep's directory")
    parser.add_argument(
        "names", nargs="*", metavar="run", help="a run's name, as results.csv has it, or a pattern: 'seed=*'"
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE,...",
        help="all runs with these values in results.csv, e.g. optimizer=adam,seed=3 or status=diverged",
    )
    parser.add_argument(
        "--allow", action="append", default=[], metavar="PACKAGE", help="a package whose code the runs may use"
    )
    arguments = parser.parse_intermixed_args()
    refuse_no_sweep(arguments.sweep)

    from simplenn.sweep.all_runs import all_runs

    runs = all_runs(arguments.sweep)
    names = chosen_runs(arguments.sweep, table_of(runs), arguments.names, arguments.where)

    from simplenn.sweep.extraction import extract

    directories = extract(arguments.sweep, names, arguments.allow, runs)
    old = [directory for directory, new in directories.items() if not new]
    for directory in old[:MOST_SHOWN]:
        print(f"{directory} is there already; left as it is")
    written = [directory for directory, new in directories.items() if new]
    for directory in written[:MOST_SHOWN]:
        print(directory)
    more = len(directories) - len(old[:MOST_SHOWN]) - len(written[:MOST_SHOWN])
    print(f"{len(written)} written, {len(old)} there already" + (f" ({more} not shown)" if more else ""))
    words = [next(iter(directories)), *(word for package in arguments.allow for word in ("--allow", package))]
    print(f"evaluate: {script_command('evaluate.py', *words)}")
    shown = next(iter(directories)) if len(directories) == 1 else next(iter(directories)).parent
    print(f"review:   {review_command(shown)}")


def chosen_runs(sweep: Path, rows: "polars.DataFrame", names: list[str], conditions: list[str]) -> list[str]:
    """The names of the runs that the arguments choose, of those in `rows`. Raises `ConfigError` where there are none;
    imports no torch."""
    if not len(rows):
        raise ConfigError(f"{sweep} must have runs, and has none; run the sweep anew")
    names = [name for pattern in names for name in find_all(pattern, rows, sweep)]
    if not conditions:
        if not names:
            raise ConfigError(f"extract.py must be told which runs, got none; try {shlex.quote(rows['run'][0])}")
        return list(dict.fromkeys(names))
    values: dict[str, str] = {}
    for condition in conditions:
        own = parse(condition)
        if not own:
            raise ConfigError(f"--where must be KEY=VALUE, got {condition!r}; try --where {rows.columns[1]}=...")
        if twice := sorted(values.keys() & own.keys()):
            raise ConfigError(f"--where must give each key once, got {twice[0]} twice; call extract.py for each value")
        values |= own
    found = where(rows, values)
    if names:
        found = [name for name in found if name in set(names)]
    if not found:
        raise ConfigError(f"--where must fit a run of the sweep, and {','.join(conditions)} fits none of {len(rows)}")
    return found


if __name__ == "__main__":
    run_command(main, output_is_product=True)
