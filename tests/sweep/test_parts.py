"""The parts of a sweep: whole, checked at every read, and enough to write any run's directory later."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars
import pytest
import torch
from omegaconf import OmegaConf
from sweeps import group_of, result, train_alone

from simplenn.errors import ConfigError
from simplenn.groups import RunGroup
from simplenn.rundir import Unwritable, checkpoint
from simplenn.rundir.run import Run
from simplenn.setup import build_run
from simplenn.sweep.extraction import extract
from simplenn.sweep.parts import (
    FILES,
    RUNS,
    STRUCTURE,
    Damaged,
    Part,
    digest_of,
    file_digest,
    find_parts,
    next_number,
    read_group,
    resumable,
    set_aside,
    tidy,
    write_part,
)
from simplenn.sweep.results import results_of
from simplenn.sweep.run_files.directories import write_directories

GRID = ("model.hidden=4,5", "optimizer=adam,sgd", "optimizer.lr=1e30,0.01", "data.num_train=32", "data.num_val=32")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two widths, two optimizers, two learning rates, one of which diverges."""
    return train_alone(tmp_path_factory.mktemp("alone") / "sweep", *GRID, "trainer.max_epochs=3", "progress=none")


@pytest.fixture
def group(runs: list[Run]) -> RunGroup:
    return group_of([runs[1], runs[0]], ["optimizer.lr"], [])


def test_a_group_is_read_as_it_was_written(group: RunGroup, tmp_path: Path) -> None:
    """Everything that training, or a run's directory, could ask for, to the bit; in any order of the rows."""
    part = write_part(tmp_path, 7, group, finished=True)
    assert (part.path.name, part.number, part.epochs, part.finished) == ("0007-3", 7, 3, True)
    assert_same(read_group(part), group)
    for rows in ([1], [0], [1, 0]):
        assert_same(read_group(part, rows), group.take(rows))


def assert_same(one: RunGroup, other: RunGroup) -> None:
    unresolved = [OmegaConf.to_container(group.composed, resolve=False) for group in (one, other)]
    assert unresolved[0] == unresolved[1]  # == would resolve ${now:...}, each at its own second
    for name in (
        "checked",
        "nums",
        "overrides",
        "columns",
        "subdirs",
        "finished",
        "host",
        "versions",
        "code",
    ):
        assert getattr(one, name) == getattr(other, name), name
    a, b = one.ended, other.ended
    for name in ("status", "message", "epoch", "steps"):
        assert getattr(a, name) == getattr(b, name), name
    assert one.seconds == other.seconds
    assert list(a.curves) == list(b.curves)
    assert all(equal(a.curves[name], b.curves[name]) for name in a.curves)
    kept = {*b.last.epoch.tolist(), *b.best.epoch.tolist()} & set(b.skeletons)
    assert {epoch: a.skeletons[epoch] for epoch in kept} == {epoch: b.skeletons[epoch] for epoch in kept}
    for mine, theirs in ((a.last, b.last), (a.best, b.best)):
        assert torch.equal(mine.epoch, theirs.epoch)
        assert list(mine.optimizer) == list(theirs.optimizer)
        pairs = [(mine.weights, theirs.weights), (mine.absent, theirs.absent)]
        pairs += [(mine.optimizer[slot], theirs.optimizer[slot]) for slot in theirs.optimizer]
        for left, right in pairs:
            assert left.keys() == right.keys()
            assert all(equal(left[name], right[name]) for name in right)


def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.nan_to_num(1.25e-7), other.nan_to_num(1.25e-7))


def test_numbers_keep_their_type(group: RunGroup, tmp_path: Path) -> None:
    """A whole number among fractions, a seed of 64 bits, a list: each is read as it was."""
    columns: dict[str, list[Any]] = {
        "optimizer.lr": [1, 0.1],
        "seed": [2**64 - 1, 0],
        "optimizer.betas": [[0.9, 1], [0.5, 0.999]],
    }
    changed = replace(group, columns=columns)
    changed.identities = ["a", "b"]
    found = read_group(write_part(tmp_path, 0, changed, finished=True)).columns
    assert found == columns
    assert [type(value) for value in found["optimizer.lr"]] == [int, float]


def test_runs_may_have_different_overrides(group: RunGroup, tmp_path: Path) -> None:
    group.overrides = [["seed=1", "~x", "a=2"], ["seed=1"]]
    assert read_group(write_part(tmp_path, 0, group, finished=True)).overrides == group.overrides


def test_states_of_one_memory_are_kept_as_two(group: RunGroup, tmp_path: Path) -> None:
    """Where a run's best state is its last, in memory too, both are read back."""
    group.ended.best = group.ended.last
    assert_same(read_group(write_part(tmp_path, 0, group, finished=True)), group)


def shorter(group: RunGroup) -> RunGroup:
    outcome = replace(group.ended, steps=group.ended.steps[:2], status=["interrupted"] * 2, epoch=[2, 1])
    outcome.curves = {name: curve[:2] for name, curve in outcome.curves.items()}
    return replace(group, outcome=outcome)


def names(parts: list[Part]) -> list[str]:
    return [part.path.name for part in parts]


def test_a_newer_part_replaces_the_older_one_of_its_number(group: RunGroup, tmp_path: Path) -> None:
    """An unfinished part replaces no finished one, for readers not even one with fewer epochs."""
    assert next_number(tmp_path) == 0 and find_parts(tmp_path) == []
    write_part(tmp_path, 0, shorter(group), finished=False)
    assert names(find_parts(tmp_path)) == names(resumable(tmp_path)) == ["0000-2-unfinished"]
    write_part(tmp_path, 0, shorter(group), finished=True)
    write_part(tmp_path, 0, group, finished=False)
    write_part(tmp_path, 4, group, finished=True)
    assert names(find_parts(tmp_path)) == ["0000-2", "0004-3"]
    assert names(resumable(tmp_path)) == ["0000-3-unfinished", "0004-3"]
    assert next_number(tmp_path) == 5
    write_part(tmp_path, 0, group, finished=True)
    assert names(find_parts(tmp_path)) == names(resumable(tmp_path)) == ["0000-3", "0004-3"]
    assert sorted(path.name for path in (tmp_path / "stacks").iterdir()) == ["0000-3", "0004-3"]


def test_no_run_is_lost_by_a_part_with_fewer_runs(group: RunGroup, tmp_path: Path) -> None:
    write_part(tmp_path, 0, shorter(group), finished=True)
    with pytest.raises(ValueError, match="must be replaced by one of all of its runs, but 1 are not there"):
        write_part(tmp_path, 0, group.take([1]), finished=True)
    assert names(find_parts(tmp_path)) == ["0000-2"]


def test_what_a_kill_leaves_is_tidied(group: RunGroup, tmp_path: Path) -> None:
    """What was being written, and a part that has been replaced; one that was moved aside for its successor is back."""
    write_part(tmp_path, 0, shorter(group), finished=True)
    stacks = tmp_path / "stacks"
    shutil.copytree(stacks / "0000-2", stacks / ".0000-3.999999999")
    shutil.copytree(stacks / "0000-2", stacks / "old")
    write_part(tmp_path, 1, group, finished=True)
    (stacks / "0001-3").rename(stacks / ".0001-3.before")
    write_part(tmp_path, 0, group, finished=True)
    (stacks / "old").rename(stacks / "0000-2")
    assert names(find_parts(tmp_path)) == ["0000-3"]
    tidy(tmp_path)
    assert sorted(path.name for path in stacks.iterdir()) == ["0000-3", "0001-3"]
    assert_same(read_group(find_parts(tmp_path)[1]), group)


@pytest.mark.parametrize("name", [*FILES, STRUCTURE])
def test_no_damage_is_read(name: str, group: RunGroup, tmp_path: Path) -> None:
    """A bit flipped in any region of any file, a file cut anywhere or gone: whatever is read says so, with its path."""
    part = write_part(tmp_path, 0, group, finished=True)
    path = part.path / name
    data = path.read_bytes()
    places = sorted({*range(0, len(data), max(1, len(data) // 40)), 1, 7, len(data) - 1, len(data) - 5})
    damaged = [data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :] for at in places]
    for content in [*damaged, *(data[:at] for at in places)]:
        path.write_bytes(content)
        with pytest.raises(Damaged, match=f"{name} (is damaged|is missing|can't be read)"):
            read_group(Part(part.path, 0, 3, True), [1])
    path.unlink()
    with pytest.raises(Damaged, match=f"{name} (is missing|can't be read)"):
        read_group(Part(part.path, 0, 3, True), [1])


def test_files_of_another_part_are_not_read(group: RunGroup, tmp_path: Path) -> None:
    """Each of the files, structure.json among them, and the whole folder under another's name."""
    part = write_part(tmp_path, 0, group, finished=True)
    other = write_part(tmp_path, 1, group.take([1, 0]), finished=True)
    for name in (*FILES, STRUCTURE):
        own = (part.path / name).read_bytes()
        shutil.copy(other.path / name, part.path / name)
        if own != (part.path / name).read_bytes():
            with pytest.raises(Damaged, match="is damaged"):
                read_group(Part(part.path, 0, 3, True))
        (part.path / name).write_bytes(own)
    part.path.rename(part.path.with_name("0002-3"))
    with pytest.raises(Damaged, match="belongs to another part"):
        read_group(find_parts(tmp_path)[1])


def test_rows_are_not_swapped_unseen(group: RunGroup, tmp_path: Path) -> None:
    """Not even by a table that is sound as such."""
    part = write_part(tmp_path, 0, group, finished=True)
    polars.read_parquet(part.path / RUNS).reverse().write_parquet(part.path / RUNS)
    with pytest.raises(Damaged, match=r"runs.parquet is damaged: its checksum doesn't match"):
        read_group(part)


def sealed(part: Part, **changes: Any) -> Part:
    """A part whose description is a stranger's: with these values, and digests that match."""
    content = json.loads((part.path / STRUCTURE).read_text())
    del content["digest"]
    content |= changes
    content["sha256"] = {name: file_digest(part.path / name) for name in FILES}
    (part.path / STRUCTURE).write_text(json.dumps(content | {"digest": digest_of(content)}))
    return Part(part.path, part.number, part.epochs, part.finished)


@pytest.mark.parametrize(
    "subdir",
    ["/tmp/x", "../x", "runs/../../x", "..", "", "C:\\x", "runs\\..\\..\\x", "runs/a\x1b[2J", "stacks/x", "a\nb"],
)
def test_a_part_names_no_directory_outside_of_the_sweep(subdir: str, group: RunGroup, tmp_path: Path) -> None:
    group.subdirs = [group.subdirs[0], subdir]
    write_part(tmp_path / "sweep", 0, group, finished=True)
    with pytest.raises(Damaged, match="a run's directory must be in the sweep's"):
        extract(tmp_path / "sweep", group.names)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"] and not (tmp_path / "sweep" / "runs").exists()


def test_no_other_field_names_a_file_outside_of_the_sweep(group: RunGroup, tmp_path: Path) -> None:
    """The job's name and the host are parts of file names, and stay within the run's directory."""
    group.composed = group.composed.copy()
    group.composed.hydra.job.name = "../../../job\x1b"
    group.host = "../../../../host"
    write_part(tmp_path / "sweep", 0, group, finished=True)
    (directory,) = extract(tmp_path / "sweep", group.names[:1])
    assert {path.name for path in tmp_path.iterdir()} == {"sweep"}
    files = {path.name for path in directory.iterdir() if path.is_file()}
    assert len(files) == 4 and any("host" in name for name in files) and any("job" in name for name in files)
    assert all(name.isprintable() for name in files)


@pytest.mark.parametrize("before", ["", "\\", "\\\\"])
def test_nothing_in_a_part_is_resolved(
    before: str, group: RunGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks something up is refused, as text that is like it would be resolved where an object is made of it."""
    monkeypatch.setenv("SECRET", "the reader's secret")
    part = write_part(tmp_path, 0, group, finished=True)
    text = OmegaConf.to_yaml(OmegaConf.merge(group.cfg, {"model": {"own": before + "${oc.env:SECRET}"}}))
    with pytest.raises(Damaged, match="must refer to keys alone, and looks up something of this machine"):
        read_group(sealed(part, cfg=text))


@pytest.mark.parametrize(
    "changes", [{"cfg": "1"}, {"steps": 3}, {"curves": ["x"]}, {"skeletons": {"x": 1}}, {"columns": []}]
)
def test_a_description_that_makes_no_sense_is_damaged(changes: dict[str, Any], group: RunGroup, tmp_path: Path) -> None:
    part = sealed(write_part(tmp_path, 0, group, finished=True), **changes)
    with pytest.raises(Damaged):
        _ = read_group(part).columns["optimizer.lr"]


def test_one_run_of_many_is_read_without_the_others(group: RunGroup, tmp_path: Path) -> None:
    """Of curves and arrays: the row groups and slices of others are not decoded."""
    many = group.take([0, 1] * 2000)
    many.identities = [str(k) for k in range(4000)]
    many.subdirs = [f"runs/{k}" for k in range(4000)]
    part = write_part(tmp_path, 0, many, finished=True)
    assert_same(read_group(part, [3999, 0]), many.take([3999, 0]))


def test_extracting_gives_the_directory_that_bulk_writing_gives(runs: list[Run], tmp_path: Path) -> None:
    """Byte for byte, but for the checkpoints, whose pickles may name one string twice: those tensor for tensor."""
    groups = [group_of(own, ["optimizer.lr"], []) for own in (runs[:2], runs[2:4])]
    for number, group in enumerate(groups):
        write_part(tmp_path, number, group, finished=True)
        write_directories(group, tmp_path, *build_run(group.cfg))
    (tmp_path / "runs").rename(tmp_path / ".bulk")
    wanted = [groups[1].names[1], groups[0].names[0], groups[0].names[1]]
    assert list(extract(tmp_path, wanted)) == [tmp_path / "runs" / name for name in wanted]
    for name in wanted:
        paths = sorted(path for path in (tmp_path / "runs" / name).rglob("*") if path.is_file())
        assert len(paths) >= 7
        for path in paths:
            twin = tmp_path / ".bulk" / path.relative_to(tmp_path / "runs")
            if path.suffix == ".ckpt":
                assert str(checkpoint.load(path)) == str(checkpoint.load(twin))
            else:
                assert path.read_bytes() == twin.read_bytes()
    assert set(extract(tmp_path, wanted).values()) == {False}


def test_a_directory_with_fewer_epochs_is_replaced_whole(group: RunGroup, tmp_path: Path) -> None:
    write_directories(shorter(group), tmp_path, *build_run(group.cfg))
    directory = tmp_path / group.subdirs[0]
    (directory / "mine").touch()
    assert result(Run(directory)).epoch == 2
    assert write_directories(group, tmp_path, *build_run(group.cfg)) == [True, True]
    assert result(Run(directory)).epoch == group.ended.epoch[0] and not (directory / "mine").exists()
    assert write_directories(shorter(group), tmp_path, *build_run(group.cfg)) == [False, False]
    assert not list(directory.parent.glob(".*"))


def test_what_is_damaged_is_set_aside(group: RunGroup, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason, under a name that is free; its number isn't given again."""
    for aside in ("0000-3.damaged", "0000-3.damaged_2"):
        part = write_part(tmp_path, 0, group, finished=True)
        set_aside(part.path, "a reason")
        assert "a reason" in caplog.text and aside in caplog.text
        assert (tmp_path / "stacks" / aside).is_dir() and find_parts(tmp_path) == []


def test_a_full_disk_leaves_the_parts_before(group: RunGroup, tmp_path: Path) -> None:
    """One line with the path and the reason, whichever file it hits; nothing half-written; earlier parts are read."""
    write_part(tmp_path, 0, group, finished=True)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = sorted({path.stat().st_size for path in (tmp_path / "stacks" / "0000-3").iterdir()})
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for size in (0, 10, *(own - 1 for own in sizes)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
            try:
                with pytest.raises(Unwritable, match=r"stacks/.*can't be written: ") as caught:
                    write_part(tmp_path, 1, group, finished=True)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            assert "\n" not in str(caught.value)
            assert [path.name for path in (tmp_path / "stacks").iterdir()] == ["0000-3"]
    finally:
        signal.signal(signal.SIGXFSZ, before)
    assert_same(read_group(find_parts(tmp_path)[0]), group)


@pytest.mark.parametrize("name", ["structures.json", "curves.parquet"])
def test_a_sweep_of_the_old_layout_is_refused(name: str, tmp_path: Path) -> None:
    """In one line that says what to do."""
    (tmp_path / name).touch()
    for read in (find_parts, resumable, results_of):
        with pytest.raises(
            ConfigError, match=r"is of an earlier release .* read it with that release, or run the sweep"
        ):
            read(tmp_path)


def test_parts_are_found_without_torch(tmp_path: Path) -> None:
    code = "import sys, simplenn.sweep.parts; sys.exit('torch' in sys.modules or 'polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path).returncode == 0
