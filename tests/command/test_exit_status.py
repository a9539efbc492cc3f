"""What a user or the system has caused ends in one line; an error of ours keeps its traceback."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import composed
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from simplenn.command import exit_status
from simplenn.command.directory import reserve
from simplenn.config import did_you_mean
from simplenn.errors import ConfigError, Refused
from simplenn.rundir.atomic import Unwritable


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Without what it does to the process, which is not to be left behind."""
    for name in ("signals.install", "standard_output.install", "keep_one_config_store", "read_yaml_by_libyaml"):
        monkeypatch.setattr(f"simplenn.command.exit_status.{name}", lambda: None)
    monkeypatch.setattr("gc.set_threshold", lambda *counts: None)
    monkeypatch.setattr("logging.raiseExceptions", True)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    return exit_status.run_command


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/some/file")


@pytest.mark.parametrize(
    ("main", "status", "message"),
    [
        (raising(Refused("no")), 2, "no"),
        (raising(ConfigError("seed must be\n  a number")), 2, "seed must be a number"),
        (raising(HydraException("a sweep must have a job")), 2, "a sweep must have a job"),
        (
            lambda: composed("optimizer=null"),
            2,
            "optimizer must be one of the files of its group, got null; train.py --",
        ),
        (lambda: composed("data=nan"), 2, "data must be one of the files of its group, got nan; train.py --help"),
        (lambda: composed("hydra.nope=1"), 2, "Could not override 'hydra.nope'."),
        (lambda: composed("model.hidden=${nope}").model.hidden, 2, "Interpolation key 'nope' not found"),
        (lambda: composed("name=???").name, 2, "Missing mandatory value: name"),
        (lambda: OmegaConf.create("a: [1"), 2, "while parsing a flow sequence"),
        (lambda: instantiate({"_target_": "nowhere.Nothing"}), 2, "Error locating target 'nowhere.Nothing'"),
        (raising(Unwritable("x can't be written: No space left on device")), 1, "x can't be written: No space left"),
        (raising(system_error(errno.ENOSPC)), 1, "[Errno 28] No space left on device: '/some/file'"),
        (raising(system_error(errno.EACCES)), 1, "[Errno 13] Permission denied: '/some/file'"),
    ],
)
def test_what_the_user_or_the_system_has_caused_ends_in_one_line(
    main: Callable[[], Any],
    status: int,
    message: str,
    run_command: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == status
    said = capfd.readouterr().err
    assert said.startswith(message)
    assert said.count("\n") == 1


class OfOurs:
    """As a class that Hydra makes, of which our code has a mistake."""

    def __init__(self) -> None:
        did_you_mean(None, [1, 2])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("main", "kind"),
    [
        (raising(ValueError("a shape of ours")), ValueError),
        (raising(KeyError("lr")), KeyError),
        (raising(AssertionError()), AssertionError),
        (lambda: Path("a/file/that/we/forgot/to/write").read_text(), FileNotFoundError),
        (lambda: os.listdir(__file__), NotADirectoryError),
        (lambda: composed().optimizer.learning_rate, AttributeError),
        (lambda: composed()["lr"], KeyError),
        (lambda: instantiate({"_target_": f"{__name__}.OfOurs"}), HydraException),
    ],
)
def test_an_error_of_ours_keeps_its_traceback(
    main: Callable[[], Any], kind: type[Exception], run_command: Callable[..., None]
) -> None:
    """Files that aren't there, keys that no configuration has, and what arises where Hydra calls our code, included."""
    with pytest.raises(kind):
        run_command(main)


def test_the_gate_keeps_it_too(capfd: pytest.CaptureFixture[str]) -> None:
    """Hydra would only warn of it, and train all the same: so the gate ends the process itself."""
    from simplenn.command.gate import closed_on_errors

    with pytest.raises(SystemExit) as end, closed_on_errors():
        Path("a/file/that/we/forgot/to/write").read_text()
    assert end.value.code == 1
    assert "Traceback" in capfd.readouterr().err
    with pytest.raises(Refused, match="1"), closed_on_errors():
        raise Unwritable("x can't be written: No space left on device")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match=r"file/run can't be written: "):
        reserve(tmp_path / "file" / "run", numbered=True)
    with pytest.raises(FileExistsError):
        reserve(tmp_path, numbered=False)
