"""A run's TensorBoard event file: one file, appended to, also when the run is resumed. Knows no training.

Records are written at once by `RecordWriter`, not through a queue and a thread.
"""

# pyright: reportAttributeAccessIssue=false
# (protobuf makes its classes as it is imported, out of a type checker's sight)

import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simplenn.rundir.atomic import write_atomically, writing
from simplenn.rundir.crash_points import crash_point
from simplenn.rundir.tensorboard_protos import (
    DT_STRING,
    Event,
    RecordWriter,
    Summary,
    SummaryMetadata,
    TensorProto,
    api_pb2,
    layout_metadata,
    layout_pb2,
    masked_crc32c,
    metadata,
    plugin_data_pb2,
)

HEADER = struct.Struct("<QI")  # length of the data, its masked crc
FOOTER = struct.Struct("<I")  # masked crc of the data
PER_SESSION = (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG, "val/predictions", "predictions")
BEST = "best/"  # before the metrics of the best epoch, which each session writes anew, too


class EventFile:
    """Appends to the one event file of a directory, making it if there is none."""

    def __init__(self, directory: Path) -> None:
        existing = event_files(directory)
        self.path = existing[0] if existing else directory / file_name(time.time(), socket.gethostname())
        self._writer = RecordWriter(self.path.open("ab"))
        if not existing:
            self._write(first_event(time.time()))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.summary(scalar_summary(values), step)

    def summary(self, summary: Summary, step: int = 0) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def image(self, tag: str, png: bytes, step: int) -> None:
        self.summary(image_summary(tag, png), step)

    def graph(self, graph: bytes) -> None:
        self._write(Event(wall_time=time.time(), graph_def=graph))

    def session_start(self, hparams: Mapping[str, Any], group: str) -> None:
        self.summary(start_summary(hparams, group, time.time()))

    def session_end(self, success: bool) -> None:
        self.summary(end_summary(success, time.time()))

    def close(self) -> None:
        with writing(self.path):
            self._writer.close()

    def _write(self, event: Event) -> None:
        crash_point("before write", self.path)
        with writing(self.path):
            self._writer.write(event.SerializeToString())
            self._writer.flush()
        crash_point("after write", self.path)


def file_name(seconds: float, host: str) -> str:
    return f"events.out.tfevents.{int(seconds)}.{host}"


def first_event(seconds: float) -> Event:
    return Event(wall_time=seconds, file_version="brain.Event:2")


def scalar_summary(values: Mapping[str, float]) -> Summary:
    return Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()])


def best_scalars(best: Mapping[str, float]) -> dict[str, float]:
    """A run's best values by the tags that they have in the event file, for the HParams page."""
    return {BEST + name: value for name, value in best.items()}


def image_summary(tag: str, png: bytes) -> Summary:
    width, height = struct.unpack_from(">II", png, 16)  # of the header, the first chunk of any PNG
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def start_summary(hparams: Mapping[str, Any], group: str, seconds: float) -> Summary:
    """A run's hyperparameters; runs of one `group` form one row of the HParams page."""
    info = plugin_data_pb2.SessionStartInfo(group_name=group, start_time_secs=seconds)
    for key, value in hparams.items():
        field = info.hparams[key]
        if isinstance(value, bool):
            field.bool_value = value
        elif isinstance(value, int | float):
            field.number_value = value
        else:
            field.string_value = str(value)
    return _hparams(metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=info))


def end_summary(success: bool, seconds: float) -> Summary:
    status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=seconds)
    return _hparams(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=info))


def experiment_summary(
    hparams: Mapping[str, Sequence[Any]], metrics: Mapping[str, str], description: str = ""
) -> Summary:
    """The columns of the HParams page, in their order: hyperparameters, each with the values that it has, and metrics,
    each tag with the title that is shown. A log directory must have no more than one."""
    experiment = api_pb2.Experiment(description=description)
    for name, values in hparams.items():
        info = experiment.hparam_infos.add(name=name, differs=len(set(map(str, values))) > 1)
        if all(isinstance(value, bool) for value in values):
            info.type = api_pb2.DATA_TYPE_BOOL
            info.domain_discrete.extend(sorted(set(values)))
        elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            info.type = api_pb2.DATA_TYPE_FLOAT64
            info.domain_interval.min_value, info.domain_interval.max_value = min(values), max(values)
        else:
            info.type = api_pb2.DATA_TYPE_STRING
            info.domain_discrete.extend(sorted(set(map(str, values))))
    for tag, title in metrics.items():
        experiment.metric_infos.add(name=api_pb2.MetricName(tag=tag), display_name=title)
    return _hparams(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment))


def hparams_of(events: Iterable[Event]) -> dict[str, Any] | None:
    """The hyperparameters that a run's session has begun with; `None` where there is no session."""
    for value in (value for event in events for value in event.summary.value):
        if value.tag == metadata.SESSION_START_INFO_TAG:
            content = value.metadata.plugin_data.content
            info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
            return {name: getattr(field, field.WhichOneof("kind")) for name, field in sorted(info.hparams.items())}
    return None


def text_summary(tag: str, markdown: str) -> Summary:
    return _of_text(tag, "text", markdown.encode())


class Margin(NamedTuple):
    """Tags of a line and of its band, which a margin chart draws for each run that has them."""

    value: str
    lower: str
    upper: str


def layout_summary(category: str, charts: Mapping[str, Margin]) -> Summary:
    """The Custom Scalars page: margin charts by their titles."""
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title=category)])
    for title, margin in charts.items():
        series = layout_pb2.MarginChartContent.Series(**margin._asdict())
        layout.category[0].chart.add(title=title, margin=layout_pb2.MarginChartContent(series=[series]))
    return _of_text(layout_metadata.CONFIG_SUMMARY_TAG, layout_metadata.PLUGIN_NAME, layout.SerializeToString())


def _of_text(tag: str, plugin: str, text: bytes) -> Summary:
    about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))
    return Summary(
        value=[Summary.Value(tag=tag, metadata=about, tensor=TensorProto(dtype=DT_STRING, string_val=[text]))]
    )


def _hparams(tag: str, data: plugin_data_pb2.HParamsPluginData) -> Summary:
    data.version = metadata.PLUGIN_DATA_VERSION
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
    return Summary(
        value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR)]
    )


def event_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("events.out.tfevents.*"))


def read_events(path: Path, most: int | None = None) -> list[Event]:
    """Every whole record, or the first `most`, up to the first that is cut short or damaged."""
    data = path.read_bytes()
    events = []
    at = 0
    while at + HEADER.size <= len(data) and (most is None or len(events) < most):
        length, header_crc = HEADER.unpack_from(data, at)
        end = at + HEADER.size + length
        if masked_crc32c(data[at : at + 8]) != header_crc or end + FOOTER.size > len(data):
            break
        body = data[at + HEADER.size : end]
        if masked_crc32c(body) != FOOTER.unpack_from(data, end)[0]:
            break
        events.append(Event.FromString(body))
        at = end + FOOTER.size
    return events


def rewind(directory: Path, epoch: int, rows: Sequence[Mapping[str, float]]) -> None:
    """Takes out of the event file what lies beyond an epoch, and what each session writes anew.

    Scalars of the rows that it doesn't have, as it was damaged or deleted, are written again.
    """
    for path in event_files(directory) or [directory / file_name(time.time(), socket.gethostname())] * bool(rows):
        kept = [
            event
            for event in (read_events(path) if path.exists() else [])
            if event.step <= epoch
            and not any(value.tag in PER_SESSION or value.tag.startswith(BEST) for value in event.summary.value)
        ]
        if not kept:
            kept = [first_event(time.time())]
        kept += _missing_scalars(kept, rows)
        write_atomically(path, b"".join(record(event.SerializeToString()) for event in kept))


def _missing_scalars(kept: Sequence[Event], rows: Sequence[Mapping[str, float]]) -> list[Event]:
    """The rows' scalars that are in no event. They come after all that are: `read_events` ends at the first damage."""
    scalars = (
        (event.step, value.tag) for event in kept for value in event.summary.value if value.HasField("simple_value")
    )
    present = set(scalars)
    events = []
    for row in rows:
        step = int(row["epoch"])
        values = {tag: v for tag, v in row.items() if tag not in ("epoch", "step") and (step, tag) not in present}
        if values:
            events.append(Event(wall_time=time.time(), step=step, summary=scalar_summary(values)))
    return events


def record(data: bytes) -> bytes:
    """An event as it stands in the file."""
    length = struct.pack("<Q", len(data))
    return length + FOOTER.pack(masked_crc32c(length)) + data + FOOTER.pack(masked_crc32c(data))
