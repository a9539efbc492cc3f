"""`multirun.yaml`: what the last command of a sweep asked for, as Hydra would write it, how many runs the sweep has
when that is done, which of them have how many epochs, and a checksum. It may be a stranger's, so nothing in it is
resolved where it is read. Imports no torch.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config import parse_plain
from simplenn.errors import ConfigError
from simplenn.planning import naming
from simplenn.rundir import write_atomically
from simplenn.scripts import script_command

MULTIRUN = "multirun.yaml"
MOST_BYTES = 2**24  # of it: the command may name each seed
# The last lines but one: what the sweep comes to by its last command, the epochs with the numbers of the runs.
NUM_RUNS = re.compile(r"^# runs (\d{1,12})$", re.MULTILINE)
SWEPT = re.compile(r"^# over ([\w./@,-]+)$", re.MULTILINE | re.ASCII)
EPOCHS = re.compile(r"^# epochs (\d{1,12}) of ([\d,-]+)$", re.MULTILINE | re.ASCII)
SPAN = re.compile(r"(\d{1,12})-(\d{1,12})", re.ASCII)
PACKAGE = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
SUM = "# sha256 "  # in the last line, of all lines before it


def write_multirun(
    path: Path, sweep: DictConfig, num_runs: int, swept: Sequence[str], lengths: Mapping[int, Sequence[int]]
) -> None:
    """Writes what the command asks for as Hydra would, which keys it goes over, how many runs the sweep then has, by
    each number of epochs the numbers of the runs that are to have it, and the checksum. Raises `Unwritable`.
    """
    over = f"# over {','.join(swept)}\n" if swept else ""
    epochs = "".join(f"# epochs {length} of {_spans(nums)}\n" for length, nums in sorted(lengths.items()))
    text = f"{OmegaConf.to_yaml(sweep)}{over}{epochs}# runs {num_runs}\n"
    write_atomically(path / MULTIRUN, f"{text}{SUM}{_digest(text)}\n".encode())


def read_multirun(path: Path) -> dict[str, Any]:
    """The configuration of the sweep's last command, with nothing in it resolved; empty where there is none.

    Raises `ConfigError` where the file is damaged. One without a checksum, as Hydra writes it, is read as it is.
    """
    file = path / MULTIRUN
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} must hold a sweep's configuration, but can't be read: {error}") from error
    content = parse_plain(text, file, MOST_BYTES)
    body, label, digest = text.rpartition(SUM)
    if label and digest != f"{_digest(body)}\n":
        raise ConfigError(
            f"{file} must be as the sweep's command wrote it, and its checksum is not the one in its last line; "
            "give that command in full, or delete the line if the change is meant"
        )
    return content if isinstance(content, dict) else {}


def num_runs_planned(path: Path) -> int:
    """How many runs the sweep has once its last command is done; 0 where nothing says it, as where Hydra's own sweeper
    went over them, or the file is damaged."""
    found = _noted(path, NUM_RUNS)
    return int(found[-1]) if found else 0


def num_to_begin(path: Path, num_begun: int) -> int:
    """How many runs the sweep's last command asks for that have not begun, where so many have."""
    return max(0, num_runs_planned(path) - num_begun)


def lengths_planned(path: Path) -> list[tuple[int, list[tuple[int, int]]]]:
    """The numbers of epochs that the sweep's last command asks for, each with the first and the last number of each row
    of runs that it asks it of; none where nothing says it."""
    return [
        (int(epochs), [(int(first), int(last)) for first, last in SPAN.findall(spans)])
        for epochs, spans in _noted(path, EPOCHS)
    ]


def keys_planned(path: Path) -> list[str]:
    """The keys that the sweep's last command goes over, also while all runs that have begun are alike in one; none
    where nothing says it."""
    found = _noted(path, SWEPT)
    return found[-1].split(",") if found else []


def _noted(path: Path, note: re.Pattern[str]) -> list[Any]:
    """What our notes of this kind say; nothing where the file was changed since."""
    try:
        text = (path / MULTIRUN).read_text()
    except (OSError, ValueError):
        return []
    body, _, digest = text.rpartition(SUM)
    return note.findall(body) if digest == f"{_digest(body)}\n" else []


def _spans(nums: Sequence[int]) -> str:
    """The numbers as `0-99,120-120`."""
    spans: list[tuple[int, int]] = []
    for num in sorted(nums):
        first = spans.pop()[0] if spans and spans[-1][1] == num - 1 else num
        spans.append((first, num))
    return ",".join(f"{first}-{last}" for first, last in spans)


def resume_command(path: Path, *words: str) -> str:
    """Gives the sweep's last command again, from where this process is, with these words in place of its own."""
    trusted = [f"allow=[{','.join(packages)}]"] if (packages := trusted_packages(path)) else []
    return script_command("train.py", "-m", naming(path, "sweep"), "resume=true", *trusted, *words)


def trusted_packages(path: Path) -> list[str]:
    """Those that the sweep's last command trusted, for commands that are shown to people, who decide. None where
    nothing says it."""
    try:
        packages = read_multirun(path).get("allow")
    except ConfigError:
        return []
    return [name for name in packages if PACKAGE.fullmatch(str(name))] if isinstance(packages, list) else []


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
