"""What a sweep's `multirun.yaml` says beside what Hydra would write."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from simplenn.sweep.multirun import (
    MULTIRUN,
    keys_planned,
    lengths_planned,
    num_runs_planned,
    read_multirun,
    resume_command,
    write_multirun,
)

NOTES = "# epochs 9 of 0-6\n# runs 7\n"


def test_it_says_how_many_runs_the_sweep_is_to_have(tmp_path: Path) -> None:
    lengths = {100: [7, 0, 1, 2], 20: [3]}
    write_multirun(tmp_path, OmegaConf.create({"seed": 3, "name": "# runs 7"}), 1200, ["optimizer.lr", "seed"], lengths)
    assert keys_planned(tmp_path) == ["optimizer.lr", "seed"]
    assert num_runs_planned(tmp_path) == 1200
    assert lengths_planned(tmp_path) == [(20, [(3, 3)]), (100, [(0, 2), (7, 7)])]
    assert read_multirun(tmp_path) == {"seed": 3, "name": "# runs 7"}


@pytest.mark.parametrize("text", [None, "seed: 3\n", f"seed: 3\n{NOTES}", f"seed: 3\n{NOTES}# sha256 0\n"])
def test_another_ones_says_nothing_of_it(text: str | None, tmp_path: Path) -> None:
    """One of Hydra's or of an earlier release, or a changed one."""
    if text is not None:
        (tmp_path / MULTIRUN).write_text(text)
    assert num_runs_planned(tmp_path) == 0 and keys_planned(tmp_path) == [] == lengths_planned(tmp_path)


def test_a_sweep_is_named_as_commands_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    usual = "python scripts/train.py -m name=x resume=true"
    assert resume_command(Path("outputs/sweeps/x")) == resume_command(tmp_path / "outputs" / "sweeps" / "x") == usual
    assert "-m 'hydra.sweep.dir=my sweeps/x' resume=true" in resume_command(Path("my sweeps/x"))
