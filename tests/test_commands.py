"""A command in a forked process does what it does in one of its own, started afresh: the tests rest on it."""

import os
import re
import signal
from pathlib import Path

import pytest
from commands import script, start

WALL_CLOCK = re.compile(r"[\d.]+ s\b|\.tfevents\S*|\d{4}-\d\d-\d\d[ T_]\d\d[:-]\d\d[:-]\d\d(,\d+)?")


def left(directory: Path) -> dict[str, str | None]:
    """The files of a directory; of those that hold no wall clock and no array, the text."""
    return {
        WALL_CLOCK.sub("", str(path.relative_to(directory))): path.read_text() if path.suffix == ".csv" else None
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "words",
    [
        ["experiment=post", "trainer=cpu", "trainer.max_epochs=3", "name=x"],
        ["-m", "experiment=post", "seed=0,1", "trainer=cpu", "trainer.max_epochs=3", "name=x"],
        ["optimizer.lr=abc"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_a_forked_command_does_what_a_fresh_one_does(words: list[str], tmp_path: Path) -> None:
    """The same status, words and files, but for what the clock says."""
    seen = []
    for kind in ("forked", "fresh"):
        (tmp_path / kind).mkdir()
        done = script("train.py", *words, cwd=tmp_path / kind, fresh=kind == "fresh")
        told = [WALL_CLOCK.sub("", text) for text in (done.stdout, done.stderr)]
        seen.append((done.returncode, *told, left(tmp_path / kind)))
    assert seen[0] == seen[1]


def test_a_forked_process_is_as_a_fresh_one(tmp_path: Path) -> None:
    """Its streams, place, arguments, environment and signal handlers; its random numbers are its own."""
    (tmp_path / "says.py").write_text(
        "import os, random, signal, sys, threading, numpy, torch\n"
        "from pathlib import Path\n"
        "from hydra.core.global_hydra import GlobalHydra\n"
        "print(Path.cwd().name, sys.argv[1:], os.environ['GIVEN'], os.environ.get('MKL_CBWR'))\n"
        "print(sys.stdin.read(), os.isatty(0), Path(sys.path[0]).name, __name__)\n"
        "print(signal.getsignal(signal.SIGINT).__name__, signal.getsignal(signal.SIGTERM).name)\n"
        "print(threading.active_count(), GlobalHydra.instance().is_initialized(), 'hydra_plugins' in sys.modules)\n"
        "print(random.random(), numpy.random.random(), torch.initial_seed(), file=sys.stderr)\n"
        "sys.exit('the end')\n"
    )
    environment = {**os.environ, "GIVEN": "this"}
    ends = [
        script(str(tmp_path / "says.py"), "a b", cwd=tmp_path, stdin="told", environment=environment, fresh=fresh)
        for fresh in (False, False, True)
    ]
    assert len({end.stdout for end in ends}) == 1, ends
    assert [end.returncode for end in ends] == [1, 1, 1]
    assert all(end.stderr.endswith("the end\n") for end in ends)
    assert len({number for end in ends for number in end.stderr.split()[:3]}) == 9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_process(number: int, tmp_path: Path) -> None:
    """By its id, and its end is told as `subprocess` tells it."""
    (tmp_path / "waits.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    process = start(str(tmp_path / "waits.py"), cwd=tmp_path)
    assert process.stdout.readline() == "here\n"
    assert process.poll() is None
    os.kill(process.pid, number)
    _, err = process.communicate()
    assert process.returncode == -number
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)


def test_an_error_has_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("def fail():\n    raise ValueError('so')\n\nfail()\n")
    done = script(str(tmp_path / "fails.py"), cwd=tmp_path)
    assert done.returncode == 1
    assert f'File "{tmp_path}/fails.py", line 4, in <module>' in done.stderr
    assert done.stderr.endswith("ValueError: so\n")
