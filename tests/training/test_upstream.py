"""What `training` takes from Lightning beside what it documents: each fails by its name when it changes."""

from pathlib import Path
from typing import Any

import pytest
from conftest import composed
from lightning.pytorch.strategies.launchers import subprocess_script
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from simplenn.training.processes import started_processes
from simplenn.training.trainer import make_trainer


def test_lightnings_subprocess_launcher_keeps_its_processes_in_procs(tmp_path: Path) -> None:
    trainer = make_trainer(composed("trainer=ddp", "trainer.accelerator=cpu").trainer, tmp_path)
    launcher = trainer.strategy.launcher
    assert isinstance(launcher, _SubprocessScriptLauncher)
    assert started_processes(trainer) is launcher.procs
    assert launcher.procs == []


def test_lightnings_subprocess_launcher_watches_the_list_that_procs_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a process taken out of it may end without ending this one."""
    watched: list[list[Any]] = []
    monkeypatch.setattr(subprocess_script, "_launch_process_observer", watched.append)
    monkeypatch.setattr(_SubprocessScriptLauncher, "_call_children_scripts", lambda launcher: None)
    trainer = make_trainer(composed("trainer=ddp", "trainer.accelerator=cpu").trainer, tmp_path)
    launcher: Any = trainer.strategy.launcher
    launcher.launch(lambda: None)
    (found,) = watched
    assert found is started_processes(trainer)


def test_a_trainer_of_one_process_has_no_launcher(tmp_path: Path) -> None:
    trainer = make_trainer(composed("trainer=cpu").trainer, tmp_path)
    assert trainer.strategy.launcher is None
    assert started_processes(trainer) == []
