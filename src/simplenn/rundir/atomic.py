"""Files and folders that are complete or absent, and one error for whatever keeps the system from writing them.

All that this project writes goes through here, or names its `crash_point`s itself.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simplenn.rundir.crash_points import crash_point

OS_ERROR = re.compile(r"\(os error (\d+)\)")
TEMPORARY = re.compile(r"\..+\.(\d+)")  # the name of what a process writes before it has its place


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
        if isinstance(error, Unwritable) or not (found or isinstance(error, OSError)):
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
    temporary = temporary_beside(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            crash_point("before write", path)
            yield temporary
            crash_point("after write", path)
            if durable:  # else the name could be on the disk before the content is
                synchronize(temporary)
            rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def replacing_directory(path: Path, durable: bool = True) -> Iterator[Path]:
    """An empty folder to write files into, which takes the place of `path` once it is whole. Raises `Unwritable`.

    A folder can't take the place of another in one step: that one is moved aside first, and a kill between the two
    steps leaves neither at `path`. Whoever replaces folders calls `restore_directory` before reading them.
    """
    temporary = temporary_beside(path)
    try:
        with writing(path):
            remove_tree(temporary)
            temporary.mkdir(parents=True)
            crash_point("before write", path)
            yield temporary
            crash_point("after write", path)
            if durable:
                for file in sorted(temporary.rglob("*"), reverse=True):  # what is in a folder before the folder
                    synchronize(file)
                synchronize(temporary)
            take_place(temporary, path, durable=durable)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            restore_directory(path)
        raise


def take_place(whole: Path, path: Path, *, durable: bool) -> None:
    """Puts a folder that is whole where none is, or in the place of another, which a kill in between leaves beside."""
    before = before_replacement(path)
    if os.path.lexists(path):
        remove_tree(before)
        rename(path, before)
    rename(whole, path)
    if durable:
        synchronize(path.parent)
    remove_tree(before)


def restore_directory(path: Path) -> None:
    """Brings a folder whose replacement a kill has cut short back to what it was before or is now, whole."""
    before = before_replacement(path)
    if before.exists():
        if path.exists():
            remove_tree(before)
        else:
            rename(before, path)


def restore_directories(folder: Path) -> None:
    """Does so for all that are in the folder."""
    for entry in sorted(folder.glob(".*.before")):
        restore_directory(folder / entry.name.removeprefix(".").removesuffix(".before"))


def remove_left_overs(directory: Path) -> None:
    """Removes what processes that are no more had begun to write in a directory, which no one else is at work in.

    A name with this process's own number is one that an earlier process had.
    """
    with suppress(OSError):  # an unreadable or a full disk is told where something must be written
        for entry in os.scandir(directory):
            found = TEMPORARY.fullmatch(entry.name)
            if found and (int(found[1]) == os.getpid() or not is_alive(int(found[1]))):
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(path)
                else:
                    remove(path)


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs on this machine."""
    if os.name != "posix":  # there, `os.kill` ends the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def temporary_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def before_replacement(path: Path) -> Path:
    return path.with_name(f".{path.name}.before")


def rename(source: Path, target: Path) -> None:
    """Takes the place of a file that is there."""
    crash_point("before rename", target)
    source.replace(target)
    crash_point("after rename", target)


def set_aside(path: Path) -> Path:
    """Renames what is damaged to `<name>.damaged`, `.damaged_2` and so on, and returns that path. A file that the
    system lets no one rename stays."""
    aside = place_aside(path)
    with suppress(OSError):
        rename(path, aside)
    return aside


def place_aside(path: Path) -> Path:
    """The first free one of these names."""
    aside, number = path.with_name(f"{path.name}.damaged"), 2
    while aside.exists():
        aside, number = path.with_name(f"{path.name}.damaged_{number}"), number + 1
    return aside


def remove(path: Path) -> None:
    """A file; nothing where there is none."""
    crash_point("before unlink", path)
    path.unlink(missing_ok=True)
    crash_point("after unlink", path)


def remove_tree(path: Path) -> None:
    """A folder and all that is in it; nothing where there is none."""
    if path.exists():
        crash_point("before rmtree", path)
        shutil.rmtree(path)
        crash_point("after rmtree", path)


def synchronize(path: Path) -> None:
    """Has the system put a file, or a folder's list of names, on the disk."""
    if os.name != "posix" and path.is_dir():
        return
    crash_point("before fsync", path)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    crash_point("after fsync", path)
