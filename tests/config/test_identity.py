"""What makes a run the run that it is, and what doesn't."""

import random
import subprocess
import sys
from typing import Any

import pytest
from conftest import composed
from omegaconf import DictConfig, OmegaConf

from simplenn.config import (
    Kind,
    check_config,
    check_values,
    flat,
    identities,
    identity,
    kind_of,
    setting,
    setting_identity,
    with_length,
    without_length,
)

CHECKED = check_config(composed("optimizer=adam"))


# Written out, as a default in conf/ may change.
PINNED = OmegaConf.create(
    {
        "seed": 3,
        "model": {"_target_": "simplenn.network.SimpleNN", "num_features": 3, "hidden": 4, "activation": "relu"},
        "data": {"_target_": "simplenn.data.SumDataModule", "num_features": 3, "num_train": 256, "noise": 0.1},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 3e-05, "betas": [0.9, 0.999], "amsgrad": False},
        "trainer": {"accelerator": "auto", "max_epochs": 40, "gradient_clip_val": None},
    }
)


def test_identities_stay_what_they_are() -> None:
    """Over releases of ours, of Hydra's and of Python's, on every platform: if they changed, a sweep that a user goes
    on with would train all of its runs anew.
    """
    assert identity(PINNED) == "330f6301e913b2e7f24fbd445d656ec7"
    assert setting_identity(PINNED) == "1e16bbc482c41b48f13d5179ffc50e74"
    assert identities(PINNED, {"seed": [4], "optimizer.betas": [[0.0, 0.5]]}) == ["8093229edd77b4aed1ed7cbe60106afb"]


@pytest.mark.parametrize("key", flat(CHECKED))
def test_a_key_counts_by_its_kind(key: str) -> None:
    """Another value of a setting or of the seed makes another run; of any other key, the same."""
    other = CHECKED.copy()
    OmegaConf.update(other, key, _another(OmegaConf.select(CHECKED, key)), force_add=True)
    assert (identity(other) != identity(CHECKED)) == (kind_of(key) in (Kind.SETTING, Kind.SEED))
    assert (setting_identity(other) != setting_identity(CHECKED)) == (kind_of(key) is Kind.SETTING)
    assert (key in setting(CHECKED)) == (kind_of(key) is Kind.SETTING)


def _another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "_"
        case None:
            return 1
    return [*value, 0.5]


def test_in_a_sweep_over_lengths_each_length_is_a_run_of_its_own() -> None:
    """Otherwise a longer run is the same run, gone on with."""
    short, long = (check_config(composed(f"trainer.max_epochs={epochs}")) for epochs in (40, 41))
    assert identity(short) == identity(long)
    assert "trainer.max_epochs" not in setting(long)
    lengths = [with_length(identity(cfg), cfg.trainer.max_epochs) for cfg in (short, long)]
    assert lengths[0] != lengths[1]
    assert with_length(lengths[0], 7) == lengths[0]
    assert [without_length(own) for own in lengths] == [identity(short)] * 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("optimizer.lr=0.01", "optimizer.lr=1e-2"),
        ("optimizer.lr=0.01", "optimizer.lr=1.0E-2"),
        ("optimizer.lr=0.01", "optimizer.lr=0.0100"),
        ("optimizer.lr=1", "optimizer.lr=1.0"),
        ("optimizer.lr=1e1", "++optimizer.lr=10"),
        ("data.seed=5", "data.seed=${seed}"),
        ("trainer.gradient_clip_algorithm=null", "++trainer.gradient_clip_algorithm=null"),
        ("name=x", "quiet=true"),
    ],
)
def test_how_a_value_is_written_does_not_count(one: str, other: str) -> None:
    first, second = (check_config(composed("seed=5", override)) for override in (one, other))
    assert identity(first) == identity(second)


def test_a_run_read_back_is_the_same_run() -> None:
    """Its file has the values as they were typed: only the schema and the user's own files give them their types."""
    own = OmegaConf.create({"_target_": "torch.optim.Adadelta", "lr": 1.0, "rho": 0.9, "steps": 3})
    cfg = composed()
    cfg.optimizer = OmegaConf.merge(own, {"rho": 1, "lr": 2})
    checked = check_config(cfg, files={"optimizer": own})
    assert isinstance(checked.optimizer.rho, float)
    read_back = OmegaConf.create(OmegaConf.to_yaml(cfg))
    assert isinstance(read_back, DictConfig)
    assert identity(check_config(read_back)) == identity(checked)


@pytest.mark.parametrize("order", range(10))
def test_the_order_of_keys_does_not_count(order: int) -> None:
    cfg = OmegaConf.merge(CHECKED, {"model": {"own": {"c": 1, "a": [{"y": 1, "x": None}], "b": {"e": 0.5, "d": {}}}}})
    assert isinstance(cfg, DictConfig)
    shuffled = OmegaConf.create(_shuffled(OmegaConf.to_container(cfg), random.Random(order)))
    assert isinstance(shuffled, DictConfig)
    assert identity(cfg) == identity(shuffled)


def _shuffled(node: Any, rng: random.Random) -> Any:
    if isinstance(node, list):
        return [_shuffled(item, rng) for item in node]
    if not isinstance(node, dict):
        return node
    items = [(key, _shuffled(value, rng)) for key, value in node.items()]
    rng.shuffle(items)
    return dict(items)


NUMBERS = [None, True, 1, 1.5, 2**53, 2**53 + 1]
DIFFERENT = [*NUMBERS, "1", "true", "null", "", [], {}, [1], ["1"], [[1]], {"a": 1}, {"a": None}]


def test_different_values_make_different_runs() -> None:
    """Of other types, and nested otherwise, too; and null is not absent."""
    configs = [OmegaConf.merge(CHECKED, {"model": {"own": value}}) for value in DIFFERENT]
    configs += [CHECKED, OmegaConf.merge(CHECKED, {"model": {"ow": {"n": None}}})]
    assert len({identity(cfg) for cfg in configs if isinstance(cfg, DictConfig)}) == len(DIFFERENT) + 2


def test_runs_of_a_group_have_the_identities_that_they_have_alone() -> None:
    """Whatever is in their columns."""
    columns = {"seed": [3, 4, 3], "optimizer.lr": [1, 0.1, 1.0], "optimizer.betas": [[0, 0.9], [0.5, 0.9], [0.0, 0.9]]}
    columns = {key: check_values(CHECKED, key, values) for key, values in columns.items()}
    alone = []
    for run in range(3):
        cfg = CHECKED.copy()
        for key, values in columns.items():
            OmegaConf.update(cfg, key, values[run])
        alone.append(identity(cfg))
    assert identities(CHECKED, columns) == alone
    assert len(set(alone)) == 2


def test_the_config_room_imports_no_torch() -> None:
    """So that a sweep that has nothing to do is told so at once."""
    code = "import sys, simplenn.config; sys.exit(any(name in sys.modules for name in ('torch', 'hydra', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
