"""All that a sweep's directory holds, parsed, but for clocks: two sweeps that are the same have equal trees."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars
from safetensors.torch import load_file

from simplenn.rundir import checkpoint
from simplenn.rundir.events import read_events

CLOCKS = ("seconds", "finished", "sha256", "digest", "host", "versions")
GROWING = ("train.log",)  # it says how often a run was begun
EVENTS = "events.out.tfevents"


def tree(directory: Path, read: Callable[[Path], Any] | None = None) -> dict[str, Any]:
    """By the files' places in the directory. What a crash leaves, as temporary files, is in it."""
    read = read or content_of
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            name = path.relative_to(directory).as_posix()
            found[name.split(EVENTS)[0] + EVENTS if EVENTS in name else name] = read(path)
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The files that only one has, or that differ."""
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def content_of(path: Path) -> Any:
    if path.name in GROWING:
        return None
    if path.name.startswith(EVENTS):
        return _events(path)
    if path.name == "sha256sums":
        return [line.split()[-1] for line in path.read_text().splitlines()]
    if path.name == "results.csv.sha256":
        return path.read_text().split()[0]  # behind it, the numbers of the parts count, which grow with each training
    match path.suffix:
        case ".ckpt":
            return _plain(checkpoint.load(path))
        case ".json":
            content = {key: value for key, value in json.loads(path.read_text()).items() if key not in CLOCKS}
            return {key: _placeless(value) if isinstance(value, str) else value for key, value in content.items()}
        case ".parquet":
            frame = polars.read_parquet(path)
            return frame.drop([name for name in CLOCKS if name in frame.columns]).write_csv()
        case ".safetensors":
            return _plain(load_file(path))
        case ".yaml":
            return _placeless(path.read_text())
    return path.read_bytes()


def _placeless(text: str) -> str:
    """Hydra's configuration, but for where the sweep lies, and where its command was given."""
    return re.sub(r"(?m)(?<=cwd: ).*|(?<=output_dir: ).*/|^# sha256 .*", "", text)


def _events(path: Path) -> list[Any]:
    """What the event file shows, step by step. A resumed run has written some of it anew, and so in another order."""
    values = [
        (event.step, value.tag, repr(value.simple_value), _digest(value.image.encoded_image_string))
        for event in read_events(path)
        for value in event.summary.value
    ]
    return sorted(values)


def _plain(node: Any) -> Any:
    """Comparable, to the bit."""
    import torch

    if isinstance(node, torch.Tensor):
        content = node.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if node.numel() else b""
        return str(node.dtype), tuple(node.shape), _digest(content)
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(item) for item in node]
    return repr(node)


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()
