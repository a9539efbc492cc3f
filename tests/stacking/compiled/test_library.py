"""Compiled code on disk: made once, taken only as it was written, and kept where nobody else can write."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from simplenn.stacking.compiled import library
from simplenn.stacking.reasons import CannotCompile

SOURCE = 'extern "C" int answer() { return 42; }'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache directory of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library._directory.cache_clear()
    yield tmp_path / "simplenn" / "compiled"
    library._directory.cache_clear()


def test_a_source_is_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library.load(SOURCE).answer() == 42
    (path,) = cache.iterdir()
    monkeypatch.setenv("CXX", "/nowhere/c++")
    assert library.load(SOURCE).answer() == 42
    assert list(cache.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_library_is_compiled_again(cache: Path, damage: str) -> None:
    """And never loaded, which may end the process."""
    library.load(SOURCE)
    (path,) = cache.iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.unlink()  # the file that is loaded stays as it is
    path.write_bytes({"cut": content[:middle], "flipped": flipped, "emptied": b""}[damage])
    assert library.load(SOURCE).answer() == 42
    (again,) = cache.iterdir()
    assert library._digest(again) in again.name


def test_another_source_or_processor_has_a_library_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.load(SOURCE)
    assert library.load(SOURCE.replace("42", "43")).answer() == 43
    monkeypatch.setattr(library, "_cpu", lambda: "another one")
    library.load(SOURCE)
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize(
    ("source", "compiler", "reason"),
    [
        (SOURCE, "/nowhere/c++", "the C\\+\\+ compiler /nowhere/c\\+\\+ can't be started"),
        ("int main( {", None, "fails: .*error"),
    ],
)
def test_what_cannot_be_compiled_says_why(
    cache: Path, monkeypatch: pytest.MonkeyPatch, source: str, compiler: str | None, reason: str
) -> None:
    """And leaves nothing."""
    if compiler is not None:
        monkeypatch.setenv("CXX", compiler)
    with pytest.raises(CannotCompile, match=reason):
        library.load(source)
    assert list(cache.iterdir()) == []


def test_a_directory_that_others_can_write_to_is_not_used(cache: Path) -> None:
    """A library that somebody else has put there would run as the user."""
    library.load(SOURCE)
    (path,) = cache.iterdir()
    cache.chmod(0o777)
    library._directory.cache_clear()
    assert isinstance(library.load(SOURCE), ctypes.CDLL)
    assert list(cache.iterdir()) == [path] and library._directory() != cache


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users there")
def test_the_directory_is_the_users_own(cache: Path) -> None:
    library.load(SOURCE)
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_compiler_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(library, "SECONDS", 0.2)
    with pytest.raises(CannotCompile, match=r"takes more than 0\.2 s"):
        library.load(SOURCE)
