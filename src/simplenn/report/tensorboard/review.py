"""What a review of some paths shows, and the links that open it: a sweep's overview and its settings, or its runs where
they are few; a folder's runs, those written last first.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from simplenn.config import did_you_mean
from simplenn.errors import ConfigError
from simplenn.report.tensorboard.found import Found, event_files, find
from simplenn.report.tensorboard.logdir import MOST_ENTRIES, Entry, fill
from simplenn.report.tensorboard.server import allow_open_files
from simplenn.rundir import shown

SHOW = ("auto", "overview", "settings", "runs")
FEW_RUNS = 40  # of a sweep, up to which its runs are shown rather than its settings
MOST_SWEEPS = 20


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


def review_of(paths: Sequence[Path], show: str = "auto") -> Review:
    """Raises `ConfigError` where there is nothing to be seen, and `Damaged`."""
    found = [find(path) for path in dict.fromkeys(paths)]
    review = Review(Path(tempfile.mkdtemp(prefix="review_")))
    try:
        _choose(review, found, show)
        if not review.entries:
            raise ConfigError(f"{found[0].path} has nothing that TensorBoard shows yet; see how its command goes on")
        _cut(review)
        logdir = review.folder / "logdir"
        fill(logdir, review.entries, review.titles)
        review.links = list(_links(review))
    except BaseException:
        review.close()
        raise
    return review


def _choose(review: Review, found: Sequence[Found], show: str) -> None:
    sweeps = [sweep for one in found for sweep in one.sweeps]
    runs = [run for one in found for run in one.runs]
    if show in ("overview", "settings") and not sweeps:
        raise ConfigError(f"--show {show} is of a sweep, and {found[0].path} has none; leave it out")
    if len(sweeps) > MOST_SWEEPS:
        review.notes.append(f"the latest {MOST_SWEEPS} of {len(sweeps)} sweeps are shown; name one to see another")
    is_alone = len(sweeps) == 1 and not runs
    for sweep, name in zip(sweeps[:MOST_SWEEPS], _short_names(sweeps), strict=False):
        _take_sweep(review, sweep, "" if is_alone else f"{name}/", show)
    with_events = [run for run in runs if event_files(run)]
    folder = "runs/" if sweeps else ""
    review.entries += [Entry(folder + name, run) for run, name in zip(with_events, _short_names(with_events), strict=True)]


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
            f"python scripts/extract.py {shown(sweep)} '{study.runs['run'][0]}'"
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
    review.notes.append(f"{shown(sweep)}: {num_runs:,} runs of {num_settings:,} settings; shown are {what}")


def _cut(review: Review) -> None:
    """To as many entries as TensorBoard selects by itself, and as the system lets it open files."""
    num_files = sum(len(event_files(entry.path)) for entry in review.entries[:MOST_ENTRIES])
    openable = allow_open_files(num_files)
    most = min(MOST_ENTRIES, openable)
    if most < 1:
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
    names = [entry.name for entry in review.entries]
    kinds = {kind for kind in ("overview", "settings") if any(f"/{kind}/" in f"/{name}" for name in names)}
    has_rows = any("overview/" not in name for name in names)
    if "overview" in kinds:
        yield "#custom_scalars&regexInput=overview", "what the sweep found: the objective with its 10-90 % band"
        yield "#text", "the best settings"
    if has_rows:
        of_settings = "a row per setting; click a column's title to sort by it"
        yield "#hparams", of_settings if "settings" in kinds else "hyperparameters and final metrics"
        tags = "median" if "settings" in kinds and not any("runs/" in name for name in names) else "loss"
        chosen = "&runFilter=" + quote("settings|runs", safe="") if kinds else ""
        yield f"?smoothing=0&tagFilter={tags}{chosen}#timeseries", "curves"
    if any("overview/" not in name and "settings/" not in name for name in names):
        yield "#images", "predictions against targets"
    elif any("figures" in path.parts for entry in review.entries for path in ()):
        yield "#images", "figures"


def parse_show(text: str) -> str:
    """Raises `ConfigError`."""
    if text not in SHOW:
        raise ConfigError(f"--show must be one of {', '.join(SHOW)}, got {text}; {did_you_mean(text, SHOW)}")
    return text
