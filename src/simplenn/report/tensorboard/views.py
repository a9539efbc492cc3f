"""A sweep's own folder `tensorboard/`: views for people, derived from its runs at any time. Imports no torch.

    overview/<line>/             a run per optimizer: the objective against the learning rate (Custom
                                 Scalars), the best settings (Text), the sweep's figures (Images)
    settings/<rank> <setting>/   a run per setting: median and band over its runs by epoch, a row of the HParams page
    made_of                      a hash of what it was made of

Shapes: T epochs, S settings.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simplenn.metric import objective_tags
from simplenn.report.commands import Commands
from simplenn.report.lines import Report
from simplenn.report.study import Study
from simplenn.report.table import number
from simplenn.report.tensorboard.overview import Overview, overview_of
from simplenn.report.tensorboard.setting_curves import SHARES, Curves, quantiles_by_epoch
from simplenn.rundir import Unwritable, events, replacing_directory
from simplenn.rundir.tensorboard_protos import Event  # pyright: ignore[reportAttributeAccessIssue]
from simplenn.sweep.run_files.event_records import scalar_records

if TYPE_CHECKING:
    from simplenn.report.figures import Drawing

log = logging.getLogger(__name__)

FOLDER, OVERVIEW, SETTINGS, MADE_OF = "tensorboard", "overview", "settings", "made_of"
VERSION = 2  # of what is written: another one has views made anew
MOST_SETTINGS = 400  # with a run each: TensorBoard selects no run by itself where there are more than 500
MOST_IN_TABLE = 30
LONGEST_NAME = 150
NOT_IN_NAMES = re.compile(r"[^\w.,=+@ -]|^[.-]")


def with_views(study: Study, spare: Path) -> Path:
    """The folder with the views of a study of one sweep: the sweep's own, made anew where its runs are others by now;
    one in `spare` where that can't be written."""
    (sweep,) = study.sweeps
    made_of = _made_of(study)
    folder = sweep / FOLDER
    if _is_made_of(folder, made_of):
        return folder
    try:
        with replacing_directory(folder) as temporary:
            _write(study, temporary, made_of)
    except Unwritable as error:
        log.warning("%s; the views are not kept", error)
        folder = spare / FOLDER
        folder.mkdir(parents=True)
        _write(study, folder, made_of)
    return folder


def _made_of(study: Study) -> str:
    return sha256(f"{VERSION} {_name(study)}\n{study.notes}\n{study.runs.write_csv()}".encode()).hexdigest()


def _is_made_of(folder: Path, made_of: str) -> bool:
    try:
        return (folder / MADE_OF).read_text().strip() == made_of
    except OSError:
        return False


def _write(study: Study, folder: Path, made_of: str) -> None:
    from simplenn.report.figures import drawings  # by matplotlib

    report = Report(study, Commands(study))
    overview, drawn = overview_of(study), list(drawings(study, report.comparison))
    _write_overview(report, overview, drawn, folder / OVERVIEW)
    _write_settings(study, folder / SETTINGS)
    (folder / MADE_OF).write_text(made_of + "\n")


def file_names(texts: Sequence[str]) -> list[str]:
    """As `file_name` has them, but apart, also where two are one once they are safe."""
    names = [file_name(text) for text in texts]
    return [f"{name} ({place + 1})" if names.index(name) < place else name for place, name in enumerate(names)]


def file_name(text: str) -> str:
    """The text as the name of one folder."""
    safe = NOT_IN_NAMES.sub("_", text) or "_"
    return safe if len(safe) <= LONGEST_NAME else f"{safe[:LONGEST_NAME]}-{sha256(text.encode()).hexdigest()[:8]}"


def _ranked(texts: Sequence[str]) -> list[str]:
    """File names that stand in this order, the best first, wherever TensorBoard lists them."""
    return [f"{place:03d} {file_name(text)}" for place, text in enumerate(texts, 1)]


def _write_overview(report: Report, overview: Overview, drawn: Sequence["Drawing"], folder: Path) -> None:
    study = report.study
    goal, now = study.objective, time.time()
    layout = events.layout_summary(f"{_name(study)}: {goal}", _charts(study, overview))
    for place, (line, name) in enumerate(
        zip(overview.lines, file_names([own.name for own in overview.lines]), strict=True)
    ):
        summaries: list[tuple[int, Any]] = [(0, layout)]
        for kind, steps in (("against_axis", line.steps), ("by_epoch", None)):
            points: Mapping[str, np.ndarray] = getattr(line, kind)
            prefix = _prefix(kind, study, overview)
            for point in range(len(next(iter(points.values()), []))):
                own = {f"{prefix}/{goal}/{key}": float(values[point]) for key, values in points.items()}
                step = point + 1 if steps is None else int(steps[point])
                summaries.append((step, events.scalar_summary(_finite(own))))
        if place == 0:
            summaries.append((0, events.text_summary("summary", _summary(report, overview))))
            for drawing in drawn:
                summaries.append((0, events.image_summary(f"figures/{Path(drawing.name).stem}", drawing.png)))
        whole = [events.first_event(now), *(Event(wall_time=now, step=step, summary=own) for step, own in summaries)]
        _write_file(folder / name, b"".join(events.record(event.SerializeToString()) for event in whole))


def _name(study: Study) -> str:
    return study.sweeps[0].absolute().name


def _prefix(kind: str, study: Study, overview: Overview) -> str:
    """Of tags: with the sweep's name, so that a chart has no lines of another sweep that is shown beside it."""
    return f"{_name(study)} by {overview.axis if kind == 'against_axis' else 'epoch'}"


def _charts(study: Study, overview: Overview) -> dict[str, events.Margin]:
    goal = study.objective
    up = f"log10({goal})" if overview.is_log else goal
    lines = "" if study.family is None else f", a line per {study.family}"
    edge = "top" if study.less_is_better else "bottom"
    diverged = f" (at the {edge} edge: diverged)" if study.settings["diverged"].sum() else ""
    of_each = f" of each {study.family}" if study.family else ""
    charts = {f"{up}{diverged} by epoch: the best setting{of_each}": "by_epoch"}
    if overview.axis is not None:  # TensorBoard shows the last chart first
        charts[f"{up}{diverged} against {overview.unit}{lines}"] = "against_axis"
    return {title: _margin(_prefix(kind, study, overview), goal) for title, kind in charts.items()}


def _margin(prefix: str, goal: str) -> events.Margin:
    return events.Margin(*(f"{prefix}/{goal}/drawn_{name}" for name in ("median", "q10", "q90")))


def _summary(report: Report, overview: Overview) -> str:
    """The table of the best settings, in Markdown."""
    study = report.study
    own = study.settings
    total, counted = len(study.runs), int(own["n"].sum())
    shown = own.head(MOST_IN_TABLE)
    lines = [
        f"### {len(own):,} settings by the median of {study.objective} over their runs",
        "",
        f"{total:,} runs, {counted:,} of which count: those that are done or diverged. A diverged run is the worst.",
        *_sentences(report),
        "",
        f"| setting | n | median {study.objective} | 10 % | 90 % | diverged | failed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    columns = ["setting", "n", "median", "q10", "q90", "diverged", "failed"]
    for setting, n, median, q10, q90, diverged, failed in shown.select(columns).iter_rows():
        numbers = " | ".join(map(number, (median, q10, q90)))
        in_a_cell = setting.replace("|", r"\|")
        lines.append(f"| {in_a_cell} | {n} | {numbers} | {diverged or ''} | {failed or ''} |")
    if len(own) > len(shown):
        lines += ["", f"... and {len(own) - len(shown):,} more."]
    if overview.others:
        lines += ["", f"A line takes the runs of all values of {', '.join(overview.others)} together."]
    if overview.axis is not None and (num := own.filter(own["n"] > 0)[overview.axis].null_count()):
        lines += ["", f"The {num:,} settings without {overview.axis} have no place in the chart against it."]
    if overview.num_left_out:
        lines += ["", f"{overview.num_left_out:,} more lines are left out."]
    if len(own) > MOST_SETTINGS:
        lines += ["", f"The settings view has the best {MOST_SETTINGS} of {len(own):,} settings."]
    return "\n".join(lines)


def _sentences(report: Report) -> Iterator[str]:
    """What the terminal says at the end of the sweep, a paragraph each."""
    before = ""
    for label, text in report.said():
        yield ""
        yield f"{f'**{label}** ' if label != before else ''}{f'`{text}`' if text.startswith('python ') else text}"
        before = label


METRICS = ("median", "band", "n", "diverged")


def metric_titles(objective: str) -> dict[str, str]:
    """The metrics of a setting on the HParams page: by tag the title, the objective first."""
    titles = (f"median {objective}", "width of the 10-90 % band", "n (runs)", "share diverged")
    return {f"setting/{name} {objective}": title for name, title in zip(METRICS, titles, strict=True)}


def _write_settings(study: Study, folder: Path) -> None:
    shown = study.settings.head(MOST_SETTINGS)
    texts = shown["setting"].to_list()
    tags = [tag for tag in objective_tags() if tag in study.runs.columns]
    curves = quantiles_by_epoch(study, texts, tags)
    blobs = _curve_records(curves, len(texts))
    rows = shown.iter_rows(named=True)
    for row, name, blob in zip(rows, _ranked(texts), blobs, strict=True):
        now = time.time()
        hparams = {key: row[key] for key in study.keys if row[key] is not None}
        last = max((len(curve.median) for curve in curves.values()), default=0)
        heads = [events.first_event(now), _event(events.start_summary(hparams, name, now))]
        ends = [
            _event(events.scalar_summary(_finite(_row_metrics(row, study.objective))), last),
            _event(events.end_summary(row["n"] > row["diverged"], now)),
        ]
        before, after = (b"".join(events.record(e.SerializeToString()) for e in own) for own in (heads, ends))
        _write_file(folder / name, before + blob + after)


def _event(summary: Any, step: int = 0) -> Event:
    return Event(wall_time=time.time(), step=step, summary=summary)


def _row_metrics(row: Mapping[str, Any], objective: str) -> dict[str, float]:
    """Only what is a number: a setting whose median run has diverged has none."""
    median, q10, q90 = (float("nan") if row[name] is None else row[name] for name in ("median", "q10", "q90"))
    values = {
        "median": median,
        "band": q90 - q10 if np.isfinite(q90) and np.isfinite(q10) else np.nan,
        "n": float(row["n"]),
        "diverged": row["diverged"] / row["n"] if row["n"] else 0.0,
    }
    return {f"setting/{name} {objective}": values[name] for name in METRICS}


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """Those that TensorBoard can show: it has single precision, and one NaN spoils a row."""
    limit = float(np.finfo(np.float32).max)
    return {name: value for name, value in values.items() if abs(value) <= limit}


def _curve_records(curves: Mapping[str, Curves], num_settings: int) -> list[bytes]:
    """The scalars of each setting, as they stand in an event file."""
    columns = {f"{tag}/{name}": getattr(own, name) for tag, own in curves.items() for name in SHARES}
    limit = float(np.finfo(np.float32).max)
    if not columns:
        return [b""] * num_settings
    masks = np.stack([np.abs(values) <= limit for values in columns.values()])  # [columns, T, S]
    members: dict[bytes, list[int]] = {}
    for setting, pattern in enumerate(np.packbits(masks.reshape(-1, num_settings), axis=0).T):
        members.setdefault(pattern.tobytes(), []).append(setting)
    blobs = [b""] * num_settings
    times = [time.time()] * masks.shape[1]
    for own in members.values():
        there = [
            [name for name, has in zip(columns, masks[:, epoch, own[0]], strict=True) if has]
            for epoch in range(masks.shape[1])
        ]
        taken = {name: np.where(np.abs(values[:, own]) <= limit, values[:, own], 0) for name, values in columns.items()}
        rows, _ = scalar_records(taken, there, times, len(own))
        for setting, row in zip(own, rows, strict=True):
            blobs[setting] = row.tobytes()
    return blobs


def _write_file(directory: Path, content: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / events.file_name(time.time(), "views")).write_bytes(content)


def names_of_views(folder: Path, view: str) -> Iterator[str]:
    """The runs of a view, by name."""
    if (folder / view).is_dir():
        yield from sorted(path.name for path in (folder / view).iterdir())
