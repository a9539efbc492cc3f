"""Units handed out to workers, of a cluster that is only said to be one."""

import logging
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("distributed")

from simplenn.cluster import dispatch
from simplenn.cluster.dispatch import Dispatcher, Work


@pytest.mark.parametrize(("workers", "num_lines"), [([], 1), (["tcp://here:2"], 0)])
def test_a_command_that_waits_for_workers_says_so(
    workers: list[str], num_lines: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and only where there are none: a unit may take long."""
    future: Any = SimpleNamespace(add_done_callback=lambda call: None)
    client = SimpleNamespace(subscribe_topic=lambda *given: None, submit=lambda *given, **named: future)
    connection: Any = SimpleNamespace(
        client=client, token="t", numbers=count(1), addresses=workers, address="tcp://here:1"
    )
    looks = iter(range(5))

    def next_event(*_: Any) -> Any:
        if next(looks, None) is None:
            raise KeyboardInterrupt
        return iter(())

    monkeypatch.setattr(dispatch, "SECONDS_OF_SILENCE", 0)
    monkeypatch.setattr(Dispatcher, "_next", next_event)
    dispatcher = Dispatcher(connection, lambda *given: None)
    dispatcher.waiting.append(Work("a stack", lambda number, token: SimpleNamespace(number=number, token=token)))  # pyright: ignore[reportArgumentType]
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        list(dispatcher.ended())
    assert caplog.messages == ["the cluster at tcp://here:1 has no workers left; waiting for one"] * num_lines
