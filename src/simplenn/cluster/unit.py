"""What is sent to a worker, and what comes back: plain values, so that neither side runs what the other pickled beyond
these two classes. Imports torch only to pack."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

from simplenn.errors import ConfigError


class Corrupt(ValueError):
    """What came back from a worker isn't what was sent, or isn't of the work that was asked for."""


@dataclass(frozen=True)
class Unit:
    """A stack's runs that are to be trained together, or one run that is to be trained by itself."""

    number: int  # of the unit in its command
    token: str  # of the command
    cfg: dict[str, Any]  # checked and resolved
    allow: list[str]  # packages whose code it may use
    columns: dict[str, list[Any]]  # of a stack: the runs' own values by key
    threads: int | None  # torch's; `None` for as many as the worker has
    expected: dict[str, str]  # the versions and the code that the worker must have, too
    start: bytes | None = None  # of a stack: what its training goes on from, packed
    files: dict[str, bytes] | None = None  # of a single run: its directory as it is
    name: str = ""  # of a single run: its directory's

    @property
    def is_stack(self) -> bool:
        return self.files is None


@dataclass(frozen=True)
class Answer:
    """What a unit leaves: `body` is packed."""

    body: bytes
    digest: str
    worker: str = ""  # its address
    refusal: str = ""  # why the worker must not do the unit, if so


@dataclass
class Message:
    """A record of the worker's log."""

    logger: str
    level: int
    text: str


@dataclass
class Result:
    """What an answer holds, unpacked."""

    log: list[Message] = field(default_factory=list)
    signal: str = ""  # that ended the unit before its time
    outcomes: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)  # first run, run after the last one
    files: dict[str, bytes] = field(default_factory=dict)


def answer_of(unit: Unit, result: Result, worker: str) -> Answer:
    body = pack({"log": [vars(message) for message in result.log], "signal": result.signal,
                 "outcomes": result.outcomes, "files": result.files})  # fmt: skip
    return Answer(body, _digest(unit, body), worker)


def result_of(unit: Unit, answer: Answer) -> Result:
    """Raises `Corrupt`."""
    if answer.digest != _digest(unit, answer.body):
        raise Corrupt(f"what {answer.worker} sent back is not what it had: the checksum doesn't match")
    content = unpack(answer.body)
    content["log"] = [Message(**message) for message in content["log"]]
    return Result(**content)


def pack(content: dict[str, Any]) -> bytes:
    """Tensors, numbers, text, and lists and dictionaries of these."""
    import torch

    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def unpack(body: bytes) -> dict[str, Any]:
    """Runs no code of the sender's. Raises `Corrupt`."""
    import torch

    try:
        return torch.load(io.BytesIO(body), weights_only=True)
    except Exception as error:  # whatever torch makes of damaged bytes
        raise Corrupt(f"what a worker sent back can't be read: {' '.join(str(error).split()):.160}") from error


def refuse_difference(expected: dict[str, str], found: dict[str, str], who: str) -> None:
    """Raises `ConfigError` for a worker that would train with something else than the command would."""
    for name, version in expected.items():
        if found.get(name) != version:
            raise ConfigError(
                f"the worker {who} must have the command's versions, got {name} {found.get(name)} where the command "
                f"has {version}; install the same there, and start it again"
            )


def _digest(unit: Unit, body: bytes) -> str:
    return hashlib.sha256(f"{unit.token}/{unit.number}/".encode() + body).hexdigest()
