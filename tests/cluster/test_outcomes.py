"""What comes back from a worker: the same to the bit, or refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import composed

from simplenn.cluster.outcomes import check_outcome, outcome_of, plain
from simplenn.cluster.unit import Answer, Corrupt, Message, Result, Unit, answer_of, pack, result_of, unpack
from simplenn.command.single_elsewhere import Single
from simplenn.config import check_config, identity, without_hydra
from simplenn.groups import RunGroup
from simplenn.groups.outcome import Outcome
from simplenn.stacking import train_stack

UNIT = Unit(number=3, token="t", cfg={}, allow=[], columns={"seed": [1, 2, 3]}, threads=1, expected={})


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """Of three runs, the last of which diverges."""
    words = ("experiment=post", "trainer=cpu", "trainer.max_epochs=3", "optimizer.momentum=0.9", "quiet=true")
    cfg = check_config(without_hydra(composed(*words)))
    return train_stack(cfg, {"seed": [1, 2, 3], "optimizer.lr": [0.01, 0.02, 1e9]})


def tensors(outcome: Outcome) -> dict[str, torch.Tensor]:
    found = {f"curves {name}": curve for name, curve in outcome.curves.items()}
    for which in ("last", "best"):
        snapshot = getattr(outcome, which)
        found |= {f"{which} {name}": tensor for name, tensor in snapshot.weights.items()}
        found |= {f"{which} {slot} {k}": t for slot, own in snapshot.optimizer.items() for k, t in own.items()}
        found |= {f"{which} absent {slot}": tensor for slot, tensor in snapshot.absent.items()}
        found[f"{which} epoch"] = snapshot.epoch
    return found


def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    """Each tensor, to the bit; NaN where a run has no row."""
    answer = answer_of(UNIT, Result([Message("a", 20, "b")], "", [(0, 3, plain(outcome))]), "tcp://w:1")
    result = result_of(UNIT, answer)
    assert result.log == [Message("a", 20, "b")]
    ((first, last, content),) = result.outcomes
    back = outcome_of(content)
    assert (first, last) == (0, 3)
    check_outcome(back, 3, 3, outcome.last.weights)
    assert [back.status, back.message, back.epoch, back.steps] == [
        outcome.status,
        outcome.message,
        outcome.epoch,
        outcome.steps,
    ]
    assert back.status == ["done", "done", "diverged"] and back.skeletons == outcome.skeletons
    one, other = tensors(back), tensors(outcome)
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype and tensor.numpy().tobytes() == other[name].numpy().tobytes(), name


def test_a_changed_answer_is_refused(outcome: Outcome) -> None:
    """By its digest: also that of another unit."""
    answer = answer_of(UNIT, Result(outcomes=[(0, 3, plain(outcome))]), "tcp://w:1")
    flipped = bytearray(answer.body)
    flipped[len(flipped) // 2] ^= 1
    for unit, other in ((UNIT, replace(answer, body=bytes(flipped))), (replace(UNIT, number=4), answer)):
        with pytest.raises(Corrupt, match="the checksum doesn't match"):
            result_of(unit, other)
    with pytest.raises(Corrupt, match="can't be read"):
        result_of(UNIT, answer_of_bytes(b"nothing"))


def answer_of_bytes(body: bytes) -> Answer:
    from simplenn.cluster.unit import _digest

    return Answer(body, _digest(UNIT, body))


def test_a_packed_object_is_no_answer() -> None:
    """What comes back runs no code of the sender's."""
    with pytest.raises(Corrupt, match="can't be read"):
        unpack(pack({"a": Message("a", 1, "b")}))


def _short(content: dict[str, Any]) -> None:
    content["status"] = content["status"][:2]


def _unknown_status(content: dict[str, Any]) -> None:
    content["status"] = ["done", "done", "won"]


def _more_epochs(content: dict[str, Any]) -> None:
    content["steps"] = [1, 2, 3, 4]


def _short_curve(content: dict[str, Any]) -> None:
    content["curves"] = {name: curve[:2] for name, curve in content["curves"].items()}


def _fewer_states(content: dict[str, Any]) -> None:
    content["last"] = content["last"] | {"epoch": content["last"]["epoch"][:2]}


def _other_weights(content: dict[str, Any]) -> None:
    weights = {name: tensor[..., :1] for name, tensor in content["best"]["weights"].items()}
    content["best"] = content["best"] | {"weights": weights}


def _other_slots(content: dict[str, Any]) -> None:
    slots = content["last"]["optimizer"]
    slots = {slot: {name: tensor[:1] for name, tensor in own.items()} for slot, own in slots.items()}
    content["last"] = content["last"] | {"optimizer": slots}


def _no_curves(content: dict[str, Any]) -> None:
    del content["curves"]


CHANGES = [_short, _unknown_status, _more_epochs, _short_curve, _fewer_states, _other_weights, _other_slots, _no_curves]


@pytest.mark.parametrize("change", CHANGES)
def test_an_outcome_of_other_runs_is_refused(change: Callable[[dict[str, Any]], None], outcome: Outcome) -> None:
    content = plain(outcome)
    change(content)
    with pytest.raises(Corrupt, match="what a worker sent back is"):
        check_outcome(outcome_of(content), 3, 3, outcome.last.weights)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no result"),
        ({"../x": b"", "result.json": b"{}"}, "has a file '../x'"),
        ({"checkpoints/../../x.ckpt": b""}, "has a file"),
        ({"result.json": b"nothing"}, "has a result that can't be read"),
    ],
)
def test_files_that_are_not_a_runs_are_refused(files: dict[str, bytes], message: str) -> None:
    cfg = check_config(without_hydra(composed("seed=1")))
    group = RunGroup(cfg, [0], [[]], {"seed": [1]}, ["runs/seed=1"], checked=cfg)
    assert group.identities == [identity(cfg)]
    with pytest.raises(Corrupt, match=message):
        Single(group, 0).refuse_other(Result(files=files))
