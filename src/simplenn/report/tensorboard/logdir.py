"""The folder that a TensorBoard server looks at: links to what is to be seen, as many runs as it can show, under short
names, and one description of the HParams page. TensorBoard's own runs are called entries here.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from simplenn.errors import ConfigError
from simplenn.metric import LEARNING_RATE, objective_of
from simplenn.report.tensorboard.found import event_files
from simplenn.rundir import Run, in_row_order, read_rows

MOST_ENTRIES = 500  # above which TensorBoard's Time Series page selects none by itself
FIRST_EVENTS = 3  # among which a run's hyperparameters are
COLUMNS = "events.out.tfevents.0.review"  # sorts before what an entry has


class Entry(NamedTuple):
    name: str  # as TensorBoard shows it
    path: Path  # a directory with event files


def fill(folder: Path, entries: Iterable[Entry], titles: Mapping[str, str]) -> None:
    """Links the entries into the folder. `titles` are those of metrics of the HParams page that no run has itself.

    Raises `ConfigError` where the system has no links.
    """
    entries = list(entries)
    sessions = {entry: own for entry in entries if (own := _hparams(entry)) is not None}
    described = next(iter(sessions), None)
    for entry in entries:
        place = folder / entry.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry != described:
            _link(place, entry.path)
            continue
        place.mkdir()
        for path in event_files(entry.path):
            _link(place / path.name, path)
        _write_columns(place / COLUMNS, sessions, titles)


def _link(place: Path, target: Path) -> None:
    try:
        place.symlink_to(target.absolute())
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"a review needs links between folders, and the system makes none: {reason}; "
            f"try tensorboard --logdir {target.parent}"
        ) from error


def _hparams(entry: Entry) -> dict[str, Any] | None:
    from simplenn.rundir import events

    for path in event_files(entry.path):
        with suppress(OSError):
            return events.hparams_of(events.read_events(path, most=FIRST_EVENTS))
    return None


def _write_columns(path: Path, sessions: Mapping[Entry, Mapping[str, Any]], titles: Mapping[str, str]) -> None:
    """Of the hyperparameters those that differ between entries, of the metrics the objective first."""
    from simplenn.rundir import events
    from simplenn.rundir.tensorboard_protos import Event  # pyright: ignore[reportAttributeAccessIssue]

    keys = dict.fromkeys(key for own in sessions.values() for key in own)
    values = {key: [own.get(key) for own in sessions.values()] for key in keys}
    different = {key: own for key, own in values.items() if len(set(map(str, own))) > 1} or values
    hparams = {key: [value for value in own if value is not None] for key, own in different.items()}
    own_names = dict.fromkeys(name for entry in sessions for name in _metrics(entry.path))
    metrics = dict(titles) | {name: name for name in _in_order(own_names)}
    summary = events.experiment_summary(hparams, metrics)
    records = [events.first_event(time.time()), Event(wall_time=time.time(), summary=summary)]
    path.write_bytes(b"".join(events.record(event.SerializeToString()) for event in records))


def _metrics(directory: Path) -> list[str]:
    """The metrics of a run, by the first row that it has written; the learning rate is none."""
    with suppress(ConfigError, OSError):
        names = {name for row in read_rows(Run(directory).metrics_file) for name in row}
        return [name for name in in_row_order(names) if name not in ("epoch", "step", LEARNING_RATE)]
    return []


def _in_order(names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    goal = objective_of(names)
    return [goal, f"best/{goal}", *(name for name in names if name != goal)]
