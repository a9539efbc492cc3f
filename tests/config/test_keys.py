"""The table of keys: each key's kind, and what derives from it beside the identity."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, composed, script
from omegaconf import OmegaConf

from simplenn.config import Kind, check_config, flat, identity, kind_of
from simplenn.config.schema import Config, TrainerConfig
from simplenn.planning import row_names
from simplenn.rundir.run import Run

KINDS = {
    Kind.SEED: {"seed"},
    Kind.LENGTH: {"trainer.max_epochs"},
    Kind.EXECUTION: {
        "trainer.accelerator",
        "trainer.devices",
        "trainer.num_nodes",
        "trainer.strategy",
        "trainer.compile",
        "max_stack",
    },
    Kind.COMMAND: {
        "name",
        "resume",
        "quiet",
        "progress",
        "run_dirs",
        "verify",
        "allow",
        "show_outputs",
        "histograms",
        "rerun",
        "on_error",
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_are_those_of_the_design(kind: Kind) -> None:
    keys = [entry.name for entry in fields(Config)] + [f"trainer.{entry.name}" for entry in fields(TrainerConfig)]
    assert {key for key in keys if kind_of(key) is kind} == KINDS[kind]


@pytest.mark.parametrize("key", ["data.seed", "optimizer.rho", "trainer.limit_train_batches", "model._target_", "x"])
def test_a_key_that_no_table_lists_is_a_setting(key: str) -> None:
    """So are those of a user's own files: taken for another run at worst, never for the same one."""
    assert kind_of(key) is Kind.SETTING


def test_every_key_beside_the_groups_is_in_the_file_that_users_read() -> None:
    """With a line that says what it is."""
    text = (ROOT / "conf" / "train.yaml").read_text()
    own = set(yaml.safe_load(text)) - {"defaults", "hydra"}
    assert own == {entry.name for entry in fields(Config)} - {"model", "data", "optimizer", "trainer"}
    for key in own:
        assert any(line.startswith(f"{key}:") and "#" in line for line in text.splitlines()), key


def test_the_rows_of_the_hparams_page_are_settings_and_lengths() -> None:
    """Runs that differ in their seed, their machinery or what they print are one row."""
    cfg = check_config(composed())
    (own,) = row_names(cfg, {}, [{}])
    rows = {key: row_names(_with(cfg, key), {}, [{}]) for key in flat(cfg)}
    apart = {key for key, row in rows.items() if row != [own]}
    assert apart == {key for key in rows if kind_of(key) in (Kind.SETTING, Kind.LENGTH)}


def _with(cfg: Any, key: str) -> Any:
    other = cfg.copy()
    OmegaConf.update(other, key, "other.value", force_add=True)
    return other


def test_two_jobs_of_one_identity_are_one_run(tmp_path: Path) -> None:
    """As where they differ in what a run shows of itself."""
    swept = script(
        "train.py", "-m", "histograms=true,false", "trainer.max_epochs=1", "data.num_train=32", "name=x", cwd=tmp_path
    )
    assert swept.returncode == 0, swept.stderr
    assert "1 of 2 jobs are left out, as their runs are those of others" in swept.stdout
    (run,) = (Run(path.parent) for path in (tmp_path / "outputs" / "sweeps" / "x").glob("runs/*/result.json"))
    result = run.result()
    assert result is not None and result.identity == identity(check_config(run.config))
