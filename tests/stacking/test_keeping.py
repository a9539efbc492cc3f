"""When a stack in training writes down what it can go on from."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from simplenn.stacking import keeping


@pytest.mark.parametrize(("seconds_a_keep", "between"), [(0.1, 60), (1.2, 60), (6, 300)])
def test_keeping_takes_its_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch, seconds_a_keep: float, between: float
) -> None:
    """Once a minute, or, where it takes longer than 1.2 s, so seldom that it takes one part in fifty."""
    clock = 0.0
    kept: list[float] = []

    def keep() -> None:
        nonlocal clock
        kept.append(clock)
        clock += seconds_a_keep

    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: clock))
    callback: Any = keeping.Keeping(keep)
    for epoch in range(2_000):  # of a second
        clock += 1
        callback.on_train_epoch_end(SimpleNamespace(should_stop=False, current_epoch=epoch, max_epochs=2_000), None)
    assert kept[0] == 60
    waits = [after - before - seconds_a_keep for before, after in pairwise(kept)]
    assert waits
    assert all(between - 0.001 < wait < between + 1.001 for wait in waits)
