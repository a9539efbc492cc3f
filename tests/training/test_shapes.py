"""What the network takes and gives is held against the data once, before anything is written."""

from pathlib import Path
from typing import Any

import pytest
from conftest import composed, script
from shaped import Convolution, Crash, Embedding, Flat, Loaded, Pair, Scaled, Table, WithoutLr
from torch import nn

from simplenn.errors import ConfigError
from simplenn.training.rehearsal import rehearse


def own(thing: type, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"shaped.{thing.__name__}", **arguments}


def linear(kind: type = nn.Linear, width: int = 3, outputs: int = 1) -> dict[str, Any]:
    target = own(kind) if kind is not nn.Linear else {"_target_": "torch.nn.Linear"}
    return {**target, "in_features": width, "out_features": outputs}


def rehearsed(model: dict[str, Any], data: dict[str, Any], *overrides: str) -> None:
    cfg = composed("trainer=cpu", *overrides)
    cfg.model, cfg.data, cfg.allow = model, data, ["shaped"]
    rehearse(cfg)


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (linear(outputs=2), "right", r"model must give one number a sample, \[2, 1\] for inputs .*, got \[2, 2\]"),
        (linear(Flat), "right", r"model must give one number a sample, .*, got \[2\]; try nn.Linear"),
        (linear(Pair), "right", "model must give one number a sample, .*, got tuple"),
        (linear(width=4), "right", r"model cannot be run on data of shape \[2, 3\]: RuntimeError: mat1 and mat2"),
        (linear(), "doubles", "data must have inputs of dtype float32, .*, got float64; try x.float"),
        (linear(), "targets [N]", r"data must have one target a sample, .*, got \[2\]; try y.reshape\(-1, 1\)"),
        (linear(), "two targets", r"data must have one target a sample, .*, got \[2, 2\]"),
        (linear(), "no targets", "data must have inputs and targets, got 1 tensors"),
        (linear(), "empty", "data must have training samples, got none"),
        (
            linear(),
            "other validation",
            r"data must have validation samples like .*, got \[\[7\], \[1\]\]; see self.val",
        ),
        (linear(), "no validation", "data must have validation samples or no set of them, got an empty one; let its"),
        (linear(), "absent", "data must have training samples, got none"),
        (
            linear(),
            "unreadable",
            "data cannot be set up as configured: FileNotFoundError: .* in shaped.py:[0-9]+; ",
        ),
        (own(Crash), "right", r"model cannot be run on data .*: KeyError: 'Rooms' in shaped.py:[0-9]+$"),
    ],
)
def test_what_would_train_to_nonsense_is_refused_in_one_line(model: dict[str, Any], kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        rehearsed(model, own(Table, kind=kind))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("model", [own(Convolution), own(Embedding), own(Scaled), linear()])
def test_any_network_from_features_to_one_number_passes(model: dict[str, Any], precision: str) -> None:
    """In every precision that the CPU trains in; in double precision, doubles too."""
    kind = "doubles" if precision == "64-true" else "right"
    rehearsed(model, own(Table, kind=kind), f"trainer.precision={precision}")


def test_an_error_in_a_constructor_of_ones_own_is_told_with_its_place() -> None:
    """The innermost line of the user's files, though Hydra and torch call it."""
    with pytest.raises(ConfigError, match=r"model cannot be built as configured: no room in shaped.py:\d+; see conf/"):
        rehearsed(own(Crash, at_once=True), own(Table))
    with pytest.raises(ConfigError, match=r"model cannot be built .* argument 'nope'; see conf/"):
        rehearsed(own(Crash, nope=1), own(Table))


def test_an_optimizer_without_a_learning_rate_is_refused_before_anything_is_written() -> None:
    """Each row of metrics has it, and so it would fail after an epoch."""
    cfg = composed("trainer=cpu")
    cfg.optimizer, cfg.allow = own(WithoutLr, step_size=0.1), ["shaped"]
    with pytest.raises(
        ConfigError, match=r"optimizer must have a learning rate lr .*, got step_size; try super.* in WithoutLr"
    ):
        rehearse(cfg)


def test_data_that_make_their_own_batches_are_not_judged_by_their_tensors() -> None:
    rehearsed(linear(), own(Loaded, kind="targets [N]"))


@pytest.mark.parametrize("words", [["name=x"], ["-m", "name=x", "model.hidden=4,5", "seed=1,2"]])
def test_a_run_or_a_sweep_that_is_refused_for_its_shapes_leaves_nothing(words: list[str], tmp_path: Path) -> None:
    refused = script("train.py", *words, "model.num_features=4", "trainer=cpu", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    where = "model.hidden=4,seed=1: " if "-m" in words else ""  # which of the sweep's
    assert refused.stderr.startswith(f"{where}model cannot be run on data")
    assert refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
