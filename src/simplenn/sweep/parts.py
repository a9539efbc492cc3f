"""The parts of a sweep: what each stack leaves, in a folder of its own that is complete or absent and never changed.

    stacks/0003-100/                of stack 3, whose longest run has 100 epochs
        structure.json              what its runs share, and the SHA-256 of the other files and of itself
        runs.parquet                a row per run: see `part_tables`
        curves.parquet              a row per run and epoch
        weights.safetensors         the final parameters, [R, ...] in the order of runs.parquet
        checkpoints.safetensors     what else the runs' checkpoints hold
    stacks/0003-60-unfinished/      the same at 60 epochs, for a training that was cut short to go on from

Of several folders of one number the finished one with most epochs counts, else the unfinished one with most. Where two
numbers hold one run, the higher number counts. Imports torch and polars only to read and write.

Shapes: R runs, T epochs.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from simplenn.config import parse_config
from simplenn.errors import ConfigError
from simplenn.groups import RunGroup
from simplenn.metric import LEARNING_RATE, OLD_LEARNING_RATE
from simplenn.rundir import remove_left_overs, replacing_directory
from simplenn.rundir.atomic import place_aside, remove_tree, rename, restore_directories

if TYPE_CHECKING:
    import polars
    from omegaconf import DictConfig

log = logging.getLogger(__name__)

STACKS = "stacks"
STRUCTURE, RUNS, CURVES = "structure.json", "runs.parquet", "curves.parquet"
WEIGHTS, CHECKPOINTS = "weights.safetensors", "checkpoints.safetensors"
FILES = (RUNS, CURVES, WEIGHTS, CHECKPOINTS)
DIGEST = "digest"  # of all else in the structure
NAME = re.compile(r"(\d+)-(\d+)(-unfinished)?")
OLD_FINAL = f"final/{OLD_LEARNING_RATE}"  # a column of earlier releases
OLD_LAYOUT = ("structures.json", CURVES, WEIGHTS, CHECKPOINTS)  # beside results.csv, of all runs
# Outside of the sweep's directory, in one of its own folders, or with a character that a terminal obeys.
UNSAFE_SUBDIR = (
    r"^$|^[/\\]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.([/\\]|$)|[\x00-\x1f\x7f]|^(\./)*(stacks|tensorboard|figures)(/|$)"
)

Read = TypeVar("Read")


class Damaged(ConfigError):
    """What a part holds isn't what was written."""


@dataclass(frozen=True)
class Part:
    """A part on disk; `finished` says whether its training came to its end."""

    path: Path
    number: int
    epochs: int
    finished: bool

    @property
    def _own(self) -> tuple[int, int, bool]:
        return self.number, self.epochs, self.finished

    @cached_property
    def structure(self) -> dict[str, Any]:
        """What the runs share. Raises `Damaged`."""
        try:
            content = json.loads((self.path / STRUCTURE).read_text())
            digest = content.pop(DIGEST)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise Damaged(f"{self.path / STRUCTURE} can't be read: {' '.join(str(error).split())}") from error
        if digest != digest_of(content):
            raise Damaged(f"{self.path / STRUCTURE} is damaged: its checksum doesn't match")
        if [content.get("number"), content.get("epochs"), content.get("finished_part")] != [*self._own]:
            raise Damaged(f"{self.path / STRUCTURE} is damaged: it belongs to another part")
        return content

    @cached_property
    def cfg(self) -> "DictConfig":
        """What the runs share of their configuration; it looks nothing up. Raises `Damaged`."""
        return self.sound(STRUCTURE, lambda: parse_config(self.structure["cfg"], self.path / STRUCTURE))

    def verify(self, names: Sequence[str] = FILES) -> None:
        """Holds files against their checksums. Raises `Damaged`."""
        for name in names:
            path = self.path / name
            try:
                found = file_digest(path)
            except OSError as error:
                raise Damaged(f"{path} can't be read: {error.strerror}") from error
            if found != self.sound(STRUCTURE, lambda name=name: self.structure["sha256"][name]):
                raise Damaged(f"{path} is damaged: its checksum doesn't match")

    @cached_property
    def table(self) -> "polars.DataFrame":
        """A row per run, as `part_tables` describes it. Raises `Damaged`."""
        import polars

        self.verify([RUNS])
        table = self.sound(RUNS, lambda: polars.read_parquet(self.path / RUNS))
        if self.sound(RUNS, lambda: table["subdir"].str.contains(UNSAFE_SUBDIR).any()):
            raise Damaged(f"{self.path / RUNS} is damaged: a run's directory must be in the sweep's")
        return table.rename({OLD_FINAL: f"final/{LEARNING_RATE}"}, strict=False)

    def runs(self) -> "polars.DataFrame":
        return self.table

    def sound(self, name: str, read: Callable[[], Read]) -> Read:
        """What `read` returns; raises `Damaged` in place of any error of it, also those of polars in Rust."""
        try:
            return read()
        except (Damaged, MemoryError):
            raise
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            reason = " ".join(str(error).split())
            raise Damaged(f"{self.path / name} is damaged: {type(error).__name__}: {reason}") from error


def find_parts(sweep: Path) -> list[Part]:
    """What a reader should take, by number. Raises `ConfigError` for a sweep of an earlier release."""
    return _one_of_each(sweep, lambda part: (part.finished, part.epochs))


def resumable(sweep: Path) -> list[Part]:
    """What training should go on from, by number."""
    return _one_of_each(sweep, lambda part: (part.epochs, part.finished))


def left_part(sweep: Path, number: int) -> Part:
    """What the training of this number goes on from."""
    return next(part for part in resumable(sweep) if part.number == number)


def next_number(sweep: Path) -> int:
    return max((part.number for part in _all(sweep)), default=-1) + 1


def write_part(sweep: Path, number: int, group: RunGroup, *, finished: bool) -> Part:
    """Writes what the group's runs have left, in place of what the part of this number was before.

    Raises `Unwritable`, and `ValueError` where that has a run that the group doesn't have.
    """
    from simplenn.sweep import part_arrays, part_tables

    _refuse_losses([part for part in _all(sweep) if part.number == number], group)

    epochs = len(group.ended.steps)
    path = sweep / STACKS / f"{number:04d}-{epochs}{'' if finished else '-unfinished'}"
    with replacing_directory(path) as folder:
        part_tables.write(group, folder / RUNS, folder / CURVES)
        part_arrays.write(group, folder / WEIGHTS, folder / CHECKPOINTS)
        content = part_arrays.described(group) | part_tables.described(group)
        content |= {"number": number, "epochs": epochs, "finished_part": finished}
        content["sha256"] = {name: file_digest(folder / name) for name in FILES}
        (folder / STRUCTURE).write_text(json.dumps(content | {DIGEST: digest_of(content)}))
    part = Part(path, number, epochs, finished)
    _remove(other for other in _all(sweep) if _is_superseded(other, part))
    return part


def read_group(part: Part, runs: Sequence[int] | None = None) -> RunGroup:
    """The part's runs, or those in these rows, with their outcome. Raises `Damaged`."""
    from simplenn.sweep import part_arrays

    part.verify()
    return part.sound(STRUCTURE, lambda: part_arrays.read_group(part.path, part.structure, part.table, runs))


def tidy(sweep: Path) -> None:
    """Removes what a crash has left: what was being written, and what something newer has taken the place of."""
    stacks = sweep / STACKS
    remove_left_overs(sweep)
    if stacks.is_dir():
        restore_directories(stacks)
        remove_left_overs(stacks)
        parts = _all(sweep)
        _remove(old for old in parts if any(_is_superseded(old, new) for new in parts))


def remove_others(sweep: Path, numbers: Container[int]) -> bool:
    """Removes all parts but those of these numbers, as the runs of the others are found elsewhere by now; whether there
    were any."""
    others = [part for part in _all(sweep) if part.number not in numbers]
    _remove(others)
    return bool(others)


def set_aside(path: Path, reason: str) -> None:
    """Renames what can't be trusted, with a warning. Raises `OSError` where that can't be done."""
    target = place_aside(path)
    rename(path, target)
    log.warning("%s; set aside as %s", reason, target.name)


def refuse_old_layout(sweep: Path) -> None:
    """Raises `ConfigError` for a sweep of before there were parts."""
    if not (sweep / STACKS).is_dir() and (old := [name for name in OLD_LAYOUT if (sweep / name).exists()]):
        raise ConfigError(
            f"{sweep} must have its runs in {STACKS}/, but is of an earlier release with all of them in {old[0]}; "
            "read it with that release, or run the sweep anew under another name"
        )


def file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _all(sweep: Path) -> list[Part]:
    stacks = sweep / STACKS
    found = [(path, NAME.fullmatch(path.name)) for path in (stacks.iterdir() if stacks.is_dir() else ())]
    parts = [Part(path, int(m[1]), int(m[2]), not m[3]) for path, m in found if m and path.is_dir()]
    return sorted(parts, key=lambda part: (part.number, part.epochs, part.finished))


def _refuse_losses(before: Iterable[Part], group: RunGroup) -> None:
    own = set(group.identities)
    for part in before:
        try:
            lost = set(part.table["identity"].to_list()) - own
        except Damaged:
            continue
        if lost:
            raise ValueError(f"{part.path} must be replaced by one of all of its runs, but {len(lost)} are not there")


def _one_of_each(sweep: Path, rank: Callable[[Part], Any]) -> list[Part]:
    refuse_old_layout(sweep)
    return list(
        {part.number: part for part in sorted(_all(sweep), key=lambda part: (part.number, rank(part)))}.values()
    )


def _is_superseded(old: Part, new: Part) -> bool:
    """Whether the new part takes the old one's place; an unfinished one takes no finished one's."""
    is_other = old.number == new.number and old.path != new.path
    if not is_other or (old.finished and not new.finished):
        return False
    return old.epochs <= new.epochs if old.finished == new.finished else True


def _remove(parts: Iterable[Part]) -> None:
    for part in list(parts):
        remove_tree(part.path)
