"""`results.csv`, a row per run, and what else is known of all runs of a sweep. Derived from the parts and from the
directories of the runs that trained by themselves, at any time. Imports no torch, so that a name that isn't there is
refused at once.

Columns: `run`, each swept key by its full name, `status`, `epoch`, the final metrics by name, and their best
values as `best/<name>`.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from simplenn.config import did_you_mean
from simplenn.errors import ConfigError
from simplenn.rundir import replacing, shown, write_atomically
from simplenn.scripts import script_command
from simplenn.sweep.cells import harmless
from simplenn.sweep.multirun import MULTIRUN
from simplenn.sweep.parts import STACKS, file_digest

if TYPE_CHECKING:
    import polars

RESULTS = "results.csv"
DIGEST = "results.csv.sha256"  # as sha256sum writes and checks it, and in a comment the state of the runs
STATE = "# runs "
MOST_NAMED = 5
SUSPECT = r"^[^\p{L}\p{N}]"  # what a spreadsheet may take for a formula begins with no letter and no digit


def results_of(sweep: Path) -> "polars.DataFrame":
    """The table, in the order of Hydra's job numbers. Raises `Damaged`."""
    from simplenn.sweep.all_runs import all_runs

    return table_of(all_runs(sweep))


def table_of(runs: "polars.DataFrame") -> "polars.DataFrame":
    """The columns of results.csv, of `all_runs`."""
    import polars

    from simplenn.sweep.all_runs import FINAL, KEY

    keys = [name for name in runs.columns if name.startswith(KEY)]
    known = {"run", "status", "epoch", *(name.removeprefix(KEY) for name in keys)}
    finals = [name for name in runs.columns if name.startswith(FINAL) and name.removeprefix(FINAL) not in known]
    bests = [name for name in runs.columns if name.startswith("best/")]
    return runs.select(
        "run",
        *(polars.col(name).alias(name.removeprefix(KEY)) for name in keys),
        "status",
        "epoch",
        *(polars.col(name).alias(name.removeprefix(FINAL)) for name in finals),
        *bests,
    )


def write_results(sweep: Path, runs: "polars.DataFrame | None" = None) -> None:
    """`runs` is what `all_runs` gives, where the caller has it. Raises `Unwritable` and `Damaged`."""
    from simplenn.sweep.all_runs import all_runs

    runs = all_runs(sweep) if runs is None else runs
    path = sweep / RESULTS
    with replacing(path) as temporary:
        without_formulas(table_of(runs)).write_csv(temporary)
    state = state_of(runs.select("subdir", "status", "epoch", "part").iter_rows())
    write_atomically(sweep / DIGEST, f"{file_digest(path)}  {RESULTS}\n{STATE}{state}\n".encode())


def state_of(runs: Iterable[tuple[str, str, int, int | None]]) -> str:
    """A digest of where each run is, how it has ended, after how many epochs, and in which part: of a table that is as
    it was written, it says whether the runs are, too. How far a run is that was cut off doesn't count."""
    lines = (f"{subdir} {status} {epoch * (status != 'interrupted')} {part}" for subdir, status, epoch, part in runs)
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()


def noted_state(sweep: Path) -> str:
    """That of the runs that the table was made of; empty where nothing says it."""
    try:
        return (sweep / DIGEST).read_text().partition(STATE)[2].strip()
    except (OSError, ValueError):
        return ""


def reason_not_as_written(sweep: Path) -> str:
    """Why the file isn't what `write_results` has written; empty where it is."""
    path = sweep / RESULTS
    try:
        is_same = (sweep / DIGEST).read_text().split()[0] == file_digest(path)
    except (OSError, ValueError, IndexError):
        return f"{path} or its checksum is missing"
    return "" if is_same else f"{path} doesn't match its checksum"


def has_sweep(path: Path) -> bool:
    """Whether the directory has anything of a sweep."""
    return any((path / name).exists() for name in (STACKS, RESULTS, MULTIRUN))


def refuse_no_sweep(sweep: Path) -> None:
    """Raises `ConfigError`, naming the nearest, where the directory has nothing of a sweep."""
    if not has_sweep(sweep):
        raise ConfigError(f"{sweep} must be a sweep's directory, {_what_it_is(sweep)}")


def without_formulas(table: "polars.DataFrame") -> "polars.DataFrame":
    """The table with each text that a spreadsheet program would compute made harmless."""
    import polars

    changed = {}
    for column in table.select(polars.col(polars.String)):
        suspects = column.filter(column.str.contains(SUSPECT)).unique().to_list()
        if suspects:
            changed[column.name] = column.replace(suspects, [harmless(text) for text in suspects])
    return table.with_columns(**changed)


def _what_it_is(path: Path) -> str:
    """What it is instead, and what to do about that."""
    if not path.is_dir():
        near = _sweeps_in(path.parent)
        return (
            f"and is {'a file' if path.exists() else 'missing'}{f'; {did_you_mean(path.name, near)}' if near else ''}"
        )
    if (path / ".hydra").is_dir():
        return f"and is a run's; see {script_command('explain.py', shown(path))}"
    if within := _sweeps_in(path):
        return (
            f"and is a folder of them; name one: {', '.join(f'{shown(path)}/{name}' for name in within[:MOST_NAMED])}"
        )
    beside = _sweeps_in(path.parent)
    hint = did_you_mean(path.name, beside) if beside else f"make one with {script_command('train.py', '-m')}"
    return f"but has no {RESULTS}; {hint}"


def _sweeps_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if has_sweep(entry)) if folder.is_dir() else []
