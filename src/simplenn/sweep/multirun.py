"""`multirun.yaml`: what the last command of a sweep asked for, as Hydra would write it, with a checksum. It may be a
stranger's, so nothing in it is resolved where it is read. Imports no torch.
"""

from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config import parse_plain
from simplenn.errors import ConfigError
from simplenn.rundir import write_atomically

MULTIRUN = "multirun.yaml"
MOST_BYTES = 2**24  # of it: the command may name each seed
SUM = "# sha256 "  # in the last line, of all lines before it


def write_multirun(path: Path, sweep: DictConfig) -> None:
    """Writes what the command asks for as Hydra would, and its checksum. Raises `Unwritable`."""
    text = OmegaConf.to_yaml(sweep)
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


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
