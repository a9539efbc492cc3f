"""The text of `metrics.csv` for many runs at once, number for number as Python writes it.

Shapes: R runs, T epochs.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np

from simplenn.groups.metrics import columns_of
from simplenn.rundir.metrics import SUM, crc_start


def csv_texts(
    curves: dict[str, np.ndarray], metrics_per_epoch: Sequence[Sequence[str]], steps: Sequence[int], counts: np.ndarray
) -> list[bytes]:
    """The files of R runs, of whose rows the first `counts` are theirs; empty for a run without rows.

    `curves` are [T, R], `metrics_per_epoch` the metrics that each epoch has.
    """
    widths = [len(columns_of(metrics_per_epoch[:count])) for count in range(len(metrics_per_epoch) + 1)]
    names = columns_of(metrics_per_epoch)
    texts = [b""] * len(counts)
    for width in sorted({widths[count] for count in counts.tolist()} - {0}):
        runs = [run for run, count in enumerate(counts.tolist()) if widths[count] == width]
        lines = _lines({name: curves[name][:, runs].T for name in names[:width]}, steps, counts[runs])
        header = ",".join(["epoch", "step", *names[:width]])
        for run, text in zip(runs, lines, strict=True):
            texts[run] = _with_sums(header, text)
    return texts


def _with_sums(header: str, text: bytes) -> bytes:
    """A file of these rows, with their checksums, as `rundir.metrics` writes it."""
    start = crc_start(header)
    rows = text.split(b"\n")[:-1]
    return f"{header},{SUM}\n".encode() + b"".join([row + b",%d\n" % crc32(row, start) for row in rows])


def _lines(values: dict[str, np.ndarray], steps: Sequence[int], counts: np.ndarray) -> list[bytes]:
    """The rows of each run; `values` are [R, T]."""
    import polars

    num_epochs = len(steps)
    has = np.arange(num_epochs) < counts[:, None]
    epochs = np.broadcast_to(np.arange(1, num_epochs + 1), has.shape)[has]
    columns: dict[str, Any] = {"epoch": epochs, "step": np.array(steps)[epochs - 1]}
    columns |= {name: _texts(numbers[has]) for name, numbers in values.items()}
    text = polars.DataFrame(columns).write_csv(include_header=False, quote_style="never").encode()
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    stops = [0, *ends[np.cumsum(counts) - 1].tolist()]
    return [text[start:stop] for start, stop in pairwise(stops)]


def _texts(numbers: np.ndarray) -> Any:
    """A column of what `repr` makes of each number; null for NaN.

    Polars writes the same digits, but small numbers as 0.00001 and 1e-7 for 1e-05 and 1e-07.
    """
    import polars

    column = polars.Series(numbers, nan_to_null=True)
    texts = column.cast(polars.String).str.replace(r"e-(\d)$", "e-0${1}")
    small = np.flatnonzero((np.abs(numbers) < 1.001e-4) & (np.abs(numbers) > 0.999e-6))
    return texts.scatter(small, [repr(number) for number in numbers[small].tolist()]) if len(small) else texts
