"""`verify=N`: runs of a sweep's stacks trained once more, alone."""

import logging
from typing import Any

import pytest
import torch
from conftest import composed
from omegaconf import DictConfig

from simplenn.command.verification import verify
from simplenn.config.checking import check_config
from simplenn.groups.run_group import RunGroup
from simplenn.stacking import train_stack

COLUMNS: dict[str, list[Any]] = {"seed": [0, 1, 2], "optimizer.lr": [0.01, 0.1, 1e30]}


def trained(*overrides: str) -> RunGroup:
    cfg = check_config(
        composed(
            "quiet=true",
            "trainer=cpu",
            "data=sum",
            "data.num_train=96",
            "data.num_val=40",
            "trainer.max_epochs=3",
            *overrides,
        )
    )
    names = [f"seed={seed}" for seed in COLUMNS["seed"]]
    group = RunGroup(DictConfig({}), [0, 1, 2], [[] for _ in names], COLUMNS, names, checked=cfg)
    return group.trained(train_stack(cfg, COLUMNS), stacked=True)


def lines(group: RunGroup, caplog: pytest.LogCaptureFixture) -> tuple[bool, list[str]]:
    with caplog.at_level(logging.INFO, "simplenn.command.verification"):
        good = verify([group], 3)
    return good, [record.message for record in caplog.records if record.name == "simplenn.command.verification"]


def test_runs_as_alone_are_verified(caplog: pytest.LogCaptureFixture) -> None:
    """A diverged run among them."""
    expected = "verified 3 runs by themselves: status, metrics and weights equal bit for bit"
    assert lines(trained(), caplog) == (True, [expected])


def _metric(group: RunGroup) -> None:
    group.ended.curves["val/loss"][1, 0] *= 1 + 1e-7


def _weight(group: RunGroup) -> None:
    group.ended.last.weights["network.layer1.bias"][1, 0] += 1e-6


def _status(group: RunGroup) -> None:
    group.ended.status[2] = "done"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_metric, "verify: seed=0 differs from the same run trained by itself: val/loss differs by "),
        (_weight, "verify: seed=1 differs from the same run trained by itself: network.layer1.bias differs by "),
        (_status, "verify: seed=2 differs from the same run trained by itself: its end differs by "),
    ],
)
def test_a_difference_is_told_with_run_epoch_and_size(change: Any, line: str, caplog: pytest.LogCaptureFixture) -> None:
    """One bit is enough where equality is promised; without a difference nothing of the kind is said."""
    group = trained()
    change(group)
    good, told = lines(group, caplog)
    assert not good
    assert len(told) == 1 and told[0].startswith(line) and " in epoch " in told[0]


def test_within_the_tolerance_is_well_beyond_it_is_not(caplog: pytest.LogCaptureFixture) -> None:
    """Of a wider network, a weight may be off by 1 part in 1,000 of its way."""
    group = trained("model.hidden=16")
    group.ended.last.weights["network.layer2.bias"][0] *= 1 + 1e-6
    good, told = lines(group, caplog)
    assert good and told == ["verified 3 runs by themselves: status, metrics and weights within 0.001 of their way"]
    group.ended.last.weights["network.layer2.bias"][0] += torch.tensor(1.0)
    good, told = lines(group, caplog)
    assert not good and told[-1].startswith(
        "verify: seed=0 differs from the same run trained by itself: network.layer2.bias differs by "
    )
