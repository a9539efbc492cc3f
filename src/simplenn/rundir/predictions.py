"""The figure of predictions against targets, as a PNG: its axes are drawn once, each run's points stamped on.

The targets alone fix the axes; a prediction beyond them is shown at the edge. Knows no files.

Shapes: R runs, N samples, F features; the picture is [HEIGHT, WIDTH] of palette entries.
"""

import struct
import zlib
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from simplenn.data import TensorDataModule

WIDTH, HEIGHT, DPI = 400, 360, 80
COLOURS = {"extrapolation": "#b8b8b8", "training": "#2c6fbb", "validation": "#e08214"}
GREYS = 7
# A point, 5 pixels wide, by how much of each pixel it covers: 1 is a third, 3 all of it.
POINT = ("01210", "13331", "23332", "13331", "01210")
RUNS_AT_ONCE = 64


class Axes(NamedTuple):
    """The empty figure, and how a target becomes a column and a prediction a row: `number * scale + offset`."""

    picture: np.ndarray
    to_column: tuple[float, float]
    to_row: tuple[float, float]
    rows: tuple[int, int]  # the lowest and the highest number of a row that a point may have


class PredictionFigure:
    """What the figures of all runs on one data set share, which is taken as it is set up for training.

    `inputs` is [N, F], in the order that the predictions are wanted in; `parts` says where in it each set is.
    """

    def __init__(self, data: TensorDataModule) -> None:
        data.setup("fit")
        sets = {"extrapolation": data.extrapolation, "training": data.train, "validation": data.val}
        samples = {name: part.tensors for name, part in sets.items() if part is not None}
        self.inputs: Tensor = torch.cat([x for x, _ in samples.values()])
        targets = {name: y[:, 0].numpy().astype(np.float64) for name, (_, y) in samples.items()}
        shown = np.concatenate(list(targets.values()))
        self._axes = _drawn_axes(float(shown.min()) - 1, float(shown.max()) + 1, tuple(targets))
        scale, offset = self._axes.to_column
        self._columns = np.rint(offset + shown * scale).astype(np.int64)
        ends = np.cumsum([len(values) for values in targets.values()]).tolist()
        self.parts = {name: slice(end - len(targets[name]), end) for name, end in zip(targets, ends, strict=True)}

    def pngs(self, predictions: np.ndarray) -> Iterator[bytes]:
        """[R, N] -> R files."""
        for start in range(0, len(predictions), RUNS_AT_ONCE):
            chunk = predictions[start : start + RUNS_AT_ONCE].astype(np.float64)
            for picture in self._stamped(chunk):
                yield _png(picture)

    def _stamped(self, predictions: np.ndarray) -> np.ndarray:
        (scale, offset), (low, high) = self._axes.to_row, self._axes.rows
        with np.errstate(invalid="ignore", over="ignore"):
            rows = np.nan_to_num(predictions * scale + offset, nan=high, posinf=high, neginf=low)
        rows = np.clip(np.rint(rows), low, high).astype(np.int64)
        pictures = np.repeat(self._axes.picture[None], len(rows), axis=0)
        flat = pictures.reshape(-1)
        centres = rows * WIDTH + self._columns + np.arange(len(rows))[:, None] * (WIDTH * HEIGHT)
        for level in (1, 2, 3):  # palette entries grow with the cover, so that what is painted last stays on top
            places = [(y, x) for y, line in enumerate(POINT) for x, cover in enumerate(line) if cover == str(level)]
            for name, part in self.parts.items():
                for shift in ((y - 2) * WIDTH + x - 2 for y, x in places):
                    flat[centres[:, part] + shift] = _entry(name, level)
        return pictures


@lru_cache(maxsize=16)  # drawing takes as long as training a short run
def _drawn_axes(low: float, high: float, names: tuple[str, ...]) -> Axes:
    """From `low` to `high` both ways, with the sets' names in the legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in names:
        axes.scatter([], [], s=14, label=name, color=COLOURS[name])
    axes.axline((0, 0), slope=1, color="black", linewidth=0.8, label="exact")
    axes.set(xlabel="target", ylabel="prediction", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.legend(frameon=False)
    canvas.draw()
    drawn, palette = np.asarray(canvas.buffer_rgba())[..., :3].astype(float), _palette().astype(float)
    distance = (palette**2).sum(axis=1) - 2 * drawn @ palette.T  # squared, less what all colours share
    picture = np.argmin(distance, axis=-1).astype(np.uint8)
    (left, bottom), (right, top), (_, lowest), (_, highest) = axes.transData.transform(
        [[0.0, 0.0], [1.0, 1.0], [low, low], [high, high]]
    )
    rows = int(HEIGHT - highest) + 2, int(HEIGHT - lowest) - 3
    return Axes(picture, (right - left, left), (bottom - top, HEIGHT - bottom - 0.5), rows)


def _entry(name: str, level: int) -> int:
    return GREYS + (level - 1) * len(COLOURS) + list(COLOURS).index(name)


@cache
def _palette() -> np.ndarray:
    """[16, 3]: white to black, then each colour at a third, two thirds and all of its strength."""
    greys = np.repeat(np.linspace(255, 0, GREYS)[:, None], 3, axis=1)
    colours = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in COLOURS.values()])
    shades = [255 + (colours - 255) * level / 3 for level in (1, 2, 3)]
    return np.rint(np.concatenate([greys, *shades])).astype(np.int32)


def _png(picture: np.ndarray) -> bytes:
    """Four bits a pixel. Run lengths are all that there is to find in such a picture."""
    lines = np.zeros((HEIGHT, 1 + WIDTH // 2), np.uint8)  # each line begins with its filter: none
    pairs = picture.view("<u2")
    lines[:, 1:] = pairs << 4 | pairs >> 8
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 8, zlib.Z_RLE)
    pixels = packer.compress(lines.tobytes()) + packer.flush()
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 4, 3, 0, 0, 0)
    chunks = (b"IHDR", header), (b"PLTE", _palette().astype(np.uint8).tobytes()), (b"IDAT", pixels), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
