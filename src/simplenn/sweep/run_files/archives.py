"""Checkpoints of many runs at once: `torch.save` writes one, and the others differ from it in some bytes.

Knows torch's zip layout: stored entries, each tensor's bytes in a file of its own, the rest in `data.pkl`.

Shapes: R runs.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simplenn.rundir.checkpoint import seal_archive

BYTES_AT_ONCE = 1 << 24
STAND_IN = 1.2345678901234567e301


class Archive:
    """The file of one checkpoint, with the places of its tensors and of some of its numbers.

    `checkpoint` holds, in the places that differ from run to run, tensors and `placeholder(0)`,
    `placeholder(1)`, ... and the texts of `texts`, each of which is in it once.
    """

    def __init__(self, checkpoint: dict[str, Any], num_numbers: int, texts: Sequence[str] = ()) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = buffer.getvalue()
        self._bytes = np.frombuffer(content, np.uint8)
        archive = zipfile.ZipFile(buffer)
        directory = _directory_places(archive, content)
        spans = {entry.filename.partition("/")[2]: _span(content, entry) for entry in archive.infolist()}
        places = dict(zip(spans, directory, strict=True))
        files = [f"data/{k}" for k in range(sum(name.startswith("data/") for name in spans))]
        self._tensors = [spans[name] for name in files]
        pickled = spans["data.pkl"]
        self._numbers = [_only(self._bytes, _number(placeholder(k)), pickled) + 1 for k in range(num_numbers)]
        self._texts = [_only(self._bytes, text.encode(), pickled) for text in texts]
        changed = [*files, *(["data.pkl"] if num_numbers or texts else [])]
        # an entry's CRC-32 stands behind it, after a signature of 4 bytes, and in the directory
        self._checksums = [(spans[name], (spans[name].stop + 4, places[name])) for name in changed]

    def filled(
        self, tensors: list[Tensor], numbers: list[np.ndarray], texts: Sequence[Sequence[str]] = ()
    ) -> Iterator[bytes]:
        """The sealed files of R runs; each tensor is [R, ...], each array of numbers [R]. Of `texts`, each has R that
        are as long as that of the archive."""
        num_runs = len(numbers[0]) if numbers else len(tensors[0])
        at_once = max(1, BYTES_AT_ONCE // len(self._bytes))
        for start in range(0, num_runs, at_once):
            runs = slice(start, min(start + at_once, num_runs))
            files = np.repeat(self._bytes[None], runs.stop - start, axis=0)
            for tensor, span in zip(tensors, self._tensors, strict=True):
                files[:, span] = tensor[runs].contiguous().view(-1).view(torch.uint8).reshape(len(files), -1).numpy()
            for values, place in zip(numbers, self._numbers, strict=True):
                files[:, place : place + 8] = values[runs].astype(">f8")[:, None].view(np.uint8)
            for own, place in zip(texts, self._texts, strict=True):
                letters = np.array([list(text.encode()) for text in own[runs]], np.uint8)
                files[:, place : place + letters.shape[1]] = letters
            for span, places in self._checksums:
                sums = np.array([zlib.crc32(line) for line in np.ascontiguousarray(files[:, span])], "<u4")
                for place in places:
                    files[:, place : place + 4] = sums[:, None].view(np.uint8)
            yield from (seal_archive(line.tobytes()) for line in files)


def placeholder(number: int) -> float:
    """A number that occurs nowhere else."""
    return STAND_IN * (1 + number / 1024)


def _number(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def _only(content: np.ndarray, pattern: bytes, span: slice) -> int:
    part = content[span].tobytes()
    assert part.count(pattern) == 1
    return span.start + part.index(pattern)


def _span(content: bytes, entry: zipfile.ZipInfo) -> slice:
    """Where an entry's content lies: behind its local header, with its name and padding."""
    name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
    begin = entry.header_offset + 30 + name + extra
    return slice(begin, begin + entry.file_size)


def _directory_places(archive: zipfile.ZipFile, content: bytes) -> list[int]:
    """Where the archive's directory, at its end, has each entry's CRC-32."""
    places, at = [], archive.start_dir  # pyright: ignore[reportAttributeAccessIssue]
    for _ in archive.infolist():
        places.append(at + 16)
        at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))
    return places
