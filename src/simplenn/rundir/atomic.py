"""Files that are complete or absent, and one error for whatever keeps the system from writing them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OS_ERROR = re.compile(r"\(os error (\d+)\)")


class Unwritable(OSError):
    """A file of the run's that the system doesn't write, as the disk is full, say."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `Unwritable`, which names the file and the reason, in place of an `OSError`."""
    try:
        yield
    except Exception as error:
        # safetensors and polars raise errors of their own, which have the system's number in their text
        found = OS_ERROR.search(str(error))
        if not found and not isinstance(error, OSError):
            raise
        number = int(found[1]) if found else getattr(error, "errno", None)
        unwritable = Unwritable(f"{path} can't be written: {os.strerror(number) if number else error}")
        unwritable.errno = number
        raise unwritable from error


def write_atomically(path: Path, data: bytes, durable: bool = True) -> None:
    """The whole file or the one before it, whatever happens; `durable` outlives a power cut too.

    Raises `Unwritable`.
    """
    with replacing(path, durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A path to write a file to, which takes the place of `path` once it is whole. Raises `Unwritable`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if durable:  # else the name could be on the disk before the content is
                with temporary.open("rb") as stream:
                    os.fsync(stream.fileno())
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
