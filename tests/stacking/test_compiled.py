"""Compiled stacks, against the same stacks without the compiler."""

import pytest
import torch
from conftest import composed
from networks import Overwriting, Tokens
from omegaconf import DictConfig
from stacks import Columns, configured

from simplenn.config.checking import check_config
from simplenn.stacking import Outcome, train_stack
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.reasons import CannotCompile


def assert_moved_alike(cfg: DictConfig, columns: Columns, eager: Outcome, compiled: Outcome) -> None:
    """Each weight has gone the same way from where it began, within 1 part in 1,000."""
    initial = InitialWeights(cfg)(columns["seed"])
    for name, weight in eager.last.weights.items():
        moved = (weight - initial[name]).abs().max()
        assert float((compiled.last.weights[name] - weight).abs().max() / moved) < 1e-3, name


# torch's compiler, as it is imported, calls what torch has deprecated
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize(
    "overrides", [("optimizer=adam", "experiment=post"), ("optimizer=sgd", "optimizer.momentum=0.9")]
)
def test_compiled_stack_equals_the_eager_one_within_the_tolerance(overrides: tuple[str, ...]) -> None:
    """The same runs diverge, the same counters; the others' weights move as far within 1 part in 1,000."""
    columns = {"seed": [0, 1, 1, 2], "optimizer.lr": [1e-3, 1e-2, 1e30, 3e-2]}
    configs = [check_config(composed(*overrides, "trainer=cpu", "trainer.max_epochs=5")) for _ in range(2)]
    for cfg, wanted in zip(configs, (False, True), strict=True):
        cfg.trainer.compile = wanted
    eager, compiled = (train_stack(cfg, columns) for cfg in configs)
    assert compiled.status == eager.status == ["done", "done", "diverged", "done"]
    assert (compiled.steps, compiled.epoch, compiled.skeletons) == (eager.steps, eager.epoch, eager.skeletons)
    assert_moved_alike(configs[0], columns, eager, compiled)
    finished = [0, 1, 3]
    curves = [outcome.curves["train/loss"][:, finished] for outcome in (compiled, eager)]
    assert not torch.equal(*curves)  # else it was not compiled


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("network", [Tokens, Overwriting])
def test_a_compiled_network_is_right_or_refused(network: type) -> None:
    """What the compiled mode doesn't know of it refuses; what it compiles moves as it does without it."""
    overrides = [
        "trainer.max_epochs=2",
        "data.num_train=6",
        "data.batch_size=null",
        "data.num_val=0",
        "optimizer.lr=1e-3",
    ]
    cfg = configured(*overrides, network={"_target_": f"networks.{network.__name__}"})
    columns: Columns = {"seed": list(range(5))}
    eager = train_stack(cfg, columns)
    cfg.trainer.compile = True
    if network is Overwriting:
        with pytest.raises(CannotCompile, match="has not been tried for many runs"):
            train_stack(cfg, columns)
    else:
        assert_moved_alike(cfg, columns, eager, train_stack(cfg, columns))
