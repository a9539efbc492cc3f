"""What a review of some paths shows, and the links that open it: a sweep's overview and its settings, or its runs where
they are few; a folder's runs, those written last first.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote

from simplenn.config import closest
from simplenn.errors import ConfigError
from simplenn.report.tensorboard.found import Found, event_files, find
from simplenn.report.tensorboard.logdir import MOST_ENTRIES, Entry, fill
from simplenn.report.tensorboard.server import allow_open_files
from simplenn.rundir import shown
from simplenn.scripts import script_command

SHOW = ("auto", "overview", "settings", "runs")
FEW_RUNS = 24  # of a sweep, up to which its runs are shown rather than its settings
MOST_SELECTED = 40  # runs, above which the older pages select none by themselves
MOST_SWEEPS = 20
BEST_SHOWN = 10  # settings whose curves are filtered for
SECONDS_OF_SILENCE = 3  # between two lines about what is being read
_KINDS = ("overview", "settings")


@dataclass
class Review:
    """`folder` is for a server; `close` removes it. `notes` say what isn't shown, `links` are what comes behind the
    server's address, each with what is to be seen there."""

    folder: Path
    entries: list[Entry] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def review_of(paths: Sequence[Path], show: str = "auto", tell: Callable[[str], None] = lambda line: None) -> Review:
    """Of the sweeps that a folder has, those that can't be shown are left out, and a note says why. Where it takes
    long, `tell` is called with what is being read.

    Raises `ConfigError` where there is nothing to be seen, or where a sweep that is itself among the paths can't be
    shown, and `Damaged` likewise.
    """
    found = [find(path) for path in dict.fromkeys(paths)]
    review = Review(Path(tempfile.mkdtemp(prefix="review_")))
    try:
        refusals = _choose(review, found, show, tell)
        if not review.entries:
            raise next(iter(refusals), None) or ConfigError(
                f"{found[0].path} has nothing that TensorBoard shows yet; see how its command goes on"
            )
        _cut(review)
        logdir = review.folder / "logdir"
        fill(logdir, review.entries, review.titles)
        review.links = list(_links(review))
    except BaseException:
        review.close()
        raise
    return review


def _choose(review: Review, found: Sequence[Found], show: str, tell: Callable[[str], None]) -> list[ConfigError]:
    """Why sweeps are left out."""
    sweeps = [sweep for one in found for sweep in one.sweeps]
    runs = [run for one in found for run in one.runs]
    if show in ("overview", "settings") and not sweeps:
        raise ConfigError(f"--show {show} is of a sweep, and {found[0].path} has none; leave it out")
    if len(sweeps) > MOST_SWEEPS:
        review.notes.append(f"the latest {MOST_SWEEPS} of {len(sweeps)} sweeps are shown; name one to see another")
    is_alone = len(sweeps) == 1 and not runs
    named, refusals, told = {one.path for one in found}, [], time.monotonic()
    for number, (sweep, name) in enumerate(zip(sweeps[:MOST_SWEEPS], _short_names(sweeps), strict=False), 1):
        if time.monotonic() > told + SECONDS_OF_SILENCE:
            tell(f"reading sweep {number} of {min(len(sweeps), MOST_SWEEPS)}, {shown(sweep)}")
            told = time.monotonic()
        try:
            _take_sweep(review, sweep, "" if is_alone else f"{name}/", show)
        except ConfigError as error:
            if sweep in named:
                raise
            refusals.append(error)
    review.notes += [f"left out: {error}" for error in refusals]
    with_events = [run for run in runs if event_files(run)]
    folder = "runs/" if sweeps else ""
    review.entries += [
        Entry(folder + name, run) for run, name in zip(with_events, _short_names(with_events), strict=True)
    ]
    return refusals


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many as tell them apart."""
    names = [path.absolute().name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{path.absolute().parent.name}/{path.absolute().name}_{n}" for n, path in enumerate(paths)]


def _take_sweep(review: Review, sweep: Path, prefix: str, show: str) -> None:
    from simplenn.report.study import study_of

    study = study_of([sweep])
    directories = [(row[0], sweep / row[1]) for row in zip(study.runs["run"], study.places["subdir"], strict=True)]
    written = [(name, path) for name, path in directories if event_files(path)]
    if show == "runs" and not written:
        raise ConfigError(
            f"{sweep} has no directories of its runs to show; write some with "
            f"{script_command('extract.py', shown(sweep), study.runs['run'][0])}"
        )
    as_runs = show == "runs" or (show == "auto" and len(written) == len(directories) <= FEW_RUNS)
    from simplenn.report.tensorboard import views

    folder = views.with_views(study, review.folder / (prefix or "views"))
    review.entries += [
        Entry(f"{prefix}{views.OVERVIEW}/{name}", folder / views.OVERVIEW / name)
        for name in views.names_of_views(folder, views.OVERVIEW)
    ]
    if as_runs:
        review.entries += [Entry(f"{prefix}runs/{name}", path) for name, path in written]
    elif show != "overview":
        review.entries += [
            Entry(f"{prefix}{views.SETTINGS}/{name}", folder / views.SETTINGS / name)
            for name in views.names_of_views(folder, views.SETTINGS)
        ]
        review.titles |= views.metric_titles(study.objective)
        if len(study.settings) > views.MOST_SETTINGS:
            review.notes.append(f"{shown(sweep)}: the best {views.MOST_SETTINGS} of {len(study.settings):,} settings")
    num_runs, num_settings = len(study.runs), len(study.settings)
    what = "its runs" if as_runs else "what it found" if show == "overview" else "its settings"
    review.notes.append(
        f"{shown(sweep)}: {_counted(num_runs, 'run')} of {_counted(num_settings, 'setting')}; shown are {what}"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cut(review: Review) -> None:
    """To as many entries as TensorBoard selects by itself, and as the system lets it open files."""
    counts = list(accumulate(len(event_files(entry.path)) for entry in review.entries[:MOST_ENTRIES]))
    num_files = counts[-1] if counts else 0
    openable = allow_open_files(num_files)
    most = sum(count <= openable for count in counts)  # entries, whose files can all be opened
    if most < 1 and counts:
        raise ConfigError("a process may open too few files here to show anything; raise the limit (ulimit -Hn)")
    if len(review.entries) <= most:
        return
    why = (
        f"TensorBoard selects none by itself above {MOST_ENTRIES}"
        if most == MOST_ENTRIES
        else f"a process may open no more files here (ulimit -Hn); for all, raise it by {num_files - openable}"
    )
    review.notes.append(f"{most} of {len(review.entries):,} are shown, as {why}; name some of them to see others")
    review.entries = review.entries[:most]


def _links(review: Review) -> Iterator[tuple[str, str]]:
    """The pages that have something to show; those of the older kind select runs by `regexInput`."""
    kinds = {kind for entry in review.entries for kind in _KINDS if f"/{kind}/" in f"/{entry.name}"}
    runs = [entry for entry in review.entries if not any(f"/{kind}/" in f"/{entry.name}" for kind in _KINDS)]
    if "overview" in kinds:
        yield (
            "#custom_scalars&regexInput=overview&_smoothingWeight=0",
            "what the sweep found: medians over the runs, with the band of 10 to 90 % (untick Ignore outliers)",
        )
        yield "#text&regexInput=overview", "the best settings, as a table"
    if "settings" in kinds:
        yield "#hparams", "a row per setting, best first; a click on a column's title sorts by it"
        best = _filters(runs=f"settings/00|settings/0{BEST_SHOWN:02d}", tags="^(train|val)/.*/median")
        yield f"?smoothing=0{best}#timeseries", "the curves of the best settings: medians over their runs"
    if runs:
        if "settings" not in kinds:
            yield (
                "#hparams",
                "hyperparameters and final metrics, of several seeds their means; a click on a title sorts",
            )
        prefix = "runs/" if kinds else ""
        yield f"?smoothing=0{_filters(runs=prefix, tags='^(train|val)/loss$')}#timeseries", "the curves of the runs"
    if any(_has_image(entry) for entry in review.entries if "/overview/" in f"/{entry.name}"):
        yield "#images&regexInput=overview", "the sweep's figures"
    if 0 < len(runs) <= MOST_SELECTED and any(_has_image(entry) for entry in runs):
        yield f"#images{'&regexInput=runs' if kinds else ''}", "predictions against targets"


def _filters(**chosen: str) -> str:
    """By `runs`, by `tags`: regular expressions."""
    return "".join(f"&{name[:-1]}Filter={quote(text, safe='')}" for name, text in chosen.items() if text)


def _has_image(entry: Entry) -> bool:
    from simplenn.rundir import events

    files = event_files(entry.path)
    read = [event for path in files for event in events.read_events(path)]
    return any(value.HasField("image") for event in read for value in event.summary.value)


def parse_show(text: str) -> str:
    """Raises `ConfigError`."""
    if text not in SHOW:
        near = closest(text, SHOW)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"--show must be one of {', '.join(SHOW)}, got {text}{hint}")
    return text
