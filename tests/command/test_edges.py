"""Words and streams at the edges of what a shell gives a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, script

SMALL = ("data=post", "trainer=cpu", "trainer.max_epochs=1")


@pytest.mark.parametrize("name", ["42", "true", "1e3", "1_0"])
@pytest.mark.parametrize("sweep", [(), ("-m", "seed=1,2")])
def test_a_name_is_the_text_that_was_typed(name: str, sweep: tuple[str, ...], tmp_path: Path) -> None:
    """Though Hydra reads it as a number or a truth value."""
    done = script("train.py", *sweep, f"name={name}", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "outputs").glob("*/*")] == [name]


@pytest.mark.parametrize("name", ["../../x", "-x", "a\x1bb", "/tmp/x"])
@pytest.mark.parametrize("sweep", [(), ("-m", "seed=1,2"), ("-m", "seed=1,2", "hydra/sweeper=basic")])
def test_a_name_leads_nowhere_else(name: str, sweep: tuple[str, ...], tmp_path: Path) -> None:
    """Refused before any directory is made, by whatever sweeper."""
    work = tmp_path / "a" / "b"
    work.mkdir(parents=True)
    done = script("train.py", *sweep, f"name='{name}'", *SMALL, cwd=work)
    assert done.returncode == 2 and "name must be a file name" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", work]


@pytest.mark.parametrize("subdir", ["../../${hydra.job.num}", "/tmp/y", "a/-b", "'a\x07b'", "."])
def test_a_subdirectory_stays_in_the_sweeps(subdir: str, tmp_path: Path) -> None:
    done = script("train.py", "-m", "seed=1,2", *SMALL, f"hydra.sweep.subdir={subdir}", cwd=tmp_path)
    assert done.returncode == 2 and "hydra.sweep.subdir must be a path within" in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sweeper", ["vectorized", "basic"])
def test_hydras_own_default_of_subdirectories_works(sweeper: str, tmp_path: Path) -> None:
    words = ["hydra.sweep.subdir=${hydra.job.num}", f"hydra/sweeper={sweeper}", "run_dirs=all", "name=s"]
    done = script("train.py", "-m", "seed=1,2", *SMALL, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / "outputs" / "sweeps" / "s" / num / "result.json").is_file() for num in "01")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edges")
    assert script("train.py", "name=x", *SMALL, cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("to", [">&-", "> /dev/full"])
def test_a_run_is_done_without_standard_output(to: str, tmp_path: Path) -> None:
    line = f"'{sys.executable}' '{ROOT}/scripts/train.py' name=x {' '.join(SMALL)} {to}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("command", ["predict.py outputs/runs/x 1 2 3", "evaluate.py outputs/runs/x"])
@pytest.mark.parametrize("to", ["nothing", "a full disk", "a reader that goes away"])
def test_output_that_is_the_product_and_is_lost_is_a_failure(command: str, to: str, trained: Path) -> None:
    """In one line; a reader that goes away is none."""
    if to == "a reader that goes away":
        unread, stdout = os.pipe()
        os.close(unread)
    else:
        stdout = os.open("/dev/full", os.O_WRONLY)
    closed = "import os, sys; os.close(1); sys.stdout = None" if to == "nothing" else ""  # as Python begins with >&-
    name, *words = command.split()
    done = script(name, *words, cwd=trained, stdout=stdout, prelude=closed)
    os.close(stdout)
    if to == "a reader that goes away":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("standard output can't be written: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"1,2,3\r4,5,6\r", ""),
        (b"\xef\xbb\xbf1,2,3\r\n4,5,6\r\n", ""),
        (b"\n\na,b,c\n1,2,3\n\n , ,\n4 5 6", ""),
        (b"1,2,3\n\n1,2,1e39\n", "line 3 of standard input must stay within single precision"),
        (b"1,2,3\n\n1,2\n", "line 3 of standard input must have 3 numbers, got 2"),
        (b"1,2,3\n1,2,\xff\n", "line 2 of standard input must be numbers, got '1,2,"),
        (b"1,2,3\n1,2," + b"1" * 200_000, "line 2 of standard input must be numbers with commas between"),
        (b"1,2,3\n1,2," + b"x" * 100_000, "line 2 of standard input must be numbers, got '1,2,xxx"),
    ],
)
def test_rows_from_standard_input(given: bytes, message: str, trained: Path) -> None:
    done = script("predict.py", "outputs/runs/x", "-", cwd=trained, stdin=given)
    assert done.returncode == (2 if message else 0), done.stderr
    assert done.stderr.startswith(message) and len(done.stderr) < 300
    assert done.stdout.count("\n") == (0 if message else 2)
