"""The commands that are shown to people."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from simplenn.errors import ConfigError
from simplenn.report.tensorboard.found import find
from simplenn.rundir import find_run
from simplenn.scripts import script_command
from simplenn.sweep.results import refuse_no_sweep


@pytest.mark.parametrize("started", ["scripts/train.py", str(ROOT / "scripts/train.py"), "-c", "/usr/bin/pytest"])
def test_a_script_is_named_as_it_is_from_the_checkout(started: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process is there, or where none of ours was started."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [started])
    assert script_command("report.py", Path("a b")) == "python scripts/report.py 'a b'"


@pytest.mark.parametrize("folder", ["mein Ordner/simplenn/scripts", "{here}/simplenn/scripts", "../x/scripts"])
def test_from_elsewhere_a_script_is_named_as_the_started_one_was(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scripts = Path(folder.format(here=tmp_path))
    scripts.mkdir(parents=True)
    (scripts / "report.py").touch()
    monkeypatch.setattr(sys, "argv", [str(scripts / "train.py")])
    command = script_command("report.py", "it's", "--html")
    assert shlex.split(command) == ["python", str(scripts / "report.py"), "it's", "--html"]


@pytest.mark.parametrize(
    ("refuse", "name", "words"),
    [
        (find_run, "sw", ["scripts/report.py", "mein Ordner/sw"]),
        (find_run, "sw/runs/seed=3", ["scripts/extract.py", "mein Ordner/sw", "seed=3"]),
        (find, "sw/runs/it's", ["scripts/extract.py", "mein Ordner/sw", "it's"]),
        (refuse_no_sweep, "run", ["scripts/explain.py", "mein Ordner/run"]),
    ],
)
def test_the_command_of_a_refusal_can_be_pasted(
    refuse: Callable[[Path], Any], name: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the folder is called."""
    monkeypatch.chdir(tmp_path)
    folder = Path("mein Ordner")
    for file in ("sw/multirun.yaml", "sw/results.csv", "run/.hydra/config.yaml"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    with pytest.raises(ConfigError) as refused:
        refuse(folder / name)
    assert shlex.split(str(refused.value)[str(refused.value).index("python ") :]) == ["python", *words]
