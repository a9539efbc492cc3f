"""Checkpoints that are complete or absent, whose damage is noticed, and that load without running code."""

import hashlib
import io
import logging
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from simplenn.errors import ConfigError
from simplenn.rundir.atomic import remove, set_aside, write_atomically
from simplenn.rundir.run import Run

log = logging.getLogger(__name__)

LABEL = b"sha256:"
SEAL = len(LABEL) + 64
# Beside the keys that Lightning saves:
EPOCHS = "epochs_completed"
IDENTITY = "identity"  # of the run, as `config.identity` has it


class DamagedCheckpoint(ValueError):
    """The file's content is not what the run has written."""


class SealedCheckpoint(CheckpointIO):
    """torch's own zip file, with the SHA-256 of all that stands before it as the archive's comment."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_atomically(Path(path), seal(checkpoint), durable=False)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        return load(Path(path), map_location)

    def remove_checkpoint(self, path: Any) -> None:
        remove(Path(path))


def seal(checkpoint: dict[str, Any]) -> bytes:
    """The file's content."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return seal_archive(buffer.getvalue())


def seal_archive(archive: bytes) -> bytes:
    """torch's file, sealed. A zip archive ends with its comment, and before that the comment's length."""
    body = archive[:-2] + struct.pack("<H", SEAL)
    return body + LABEL + hashlib.sha256(body).hexdigest().encode()


def load(path: Path, map_location: Any = "cpu", *, of: str | None = None) -> dict[str, Any]:
    """Plain numbers, strings and tensors only. `of` is the identity that the run must have; a checkpoint of an earlier
    release doesn't say its own. Raises `DamagedCheckpoint`."""
    data = path.read_bytes()
    body, found = data[:-SEAL], data[-SEAL:]
    if found != LABEL + hashlib.sha256(body).hexdigest().encode():
        raise DamagedCheckpoint(f"{path} is damaged: its checksum doesn't match")
    try:
        content = torch.load(io.BytesIO(data), map_location=map_location, weights_only=True)
    except Exception as error:
        raise DamagedCheckpoint(f"{path} holds more than numbers, strings and tensors; it is not loaded") from error
    if of is not None and content.get(IDENTITY, of) != of:
        raise DamagedCheckpoint(f"{path} is another run's: its seed or a setting is not the one in config.yaml")
    return content


def epochs_completed(checkpoint: Mapping[str, Any]) -> int:
    """As noted, or for a checkpoint of an earlier release by what Lightning notes: it was saved at a run's start, or
    within Lightning's last epoch, counted from 0."""
    if EPOCHS in checkpoint:
        return checkpoint[EPOCHS]
    return checkpoint["epoch"] + 1 if checkpoint["global_step"] else 0


def latest(run: Run, own: str) -> tuple[Path, dict[str, Any]] | None:
    """The last sound checkpoint of a run of this identity; a damaged one is set aside, with a warning, for the one
    before it.

    Raises `ConfigError`, and touches nothing, where there are only damaged ones.
    """
    damaged: list[tuple[Path, DamagedCheckpoint]] = []
    for path in (run.checkpoint("last"), run.checkpoint("best")):
        if not path.exists():
            continue
        try:
            found = path, load(path, of=own)
        except DamagedCheckpoint as error:
            damaged.append((path, error))
            continue
        for bad, error in damaged:
            aside = set_aside(bad)
            log.warning("%s; set aside as %s, going on from the one before it", error, aside.name)
        return found
    if damaged:
        reasons = ", ".join(str(error) for _, error in damaged)
        raise ConfigError(f"a run must have a sound checkpoint to go on from: {reasons}; train it anew by another name")
    return None
