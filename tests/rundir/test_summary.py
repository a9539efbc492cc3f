"""The last lines of a run, by how it ended."""

import logging

import pytest

from simplenn.rundir import summary
from simplenn.rundir.result import Result
from simplenn.rundir.summary import closing_lines, output_lines

OUTPUTS = ["Model output:", "  [1.0] -> 2.0000 (target 2)"]


def ended(status: str, message: str = "") -> Result:
    return Result(status, 3, {"train/loss": 0.5, "train/lr": 0.01}, {}, 0, 1.25, {}, message)


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (ended("done"), [*OUTPUTS, "done after 3 epochs, 1.2 s: train/loss 0.5"]),
        (ended("diverged", "diverged: the loss became inf"), ["diverged: the loss became inf, 1.2 s: train/loss 0.5"]),
        (ended("failed", "an error"), ["failed after 3 epochs, 1.2 s: train/loss 0.5"]),
    ],
)
def test_a_run_says_how_it_ended(result: Result, lines: list[str], quiet: bool) -> None:
    """The network's outputs only where it is done; nothing where it is to be quiet."""
    found = list(closing_lines(result, quiet=quiet, outputs=OUTPUTS))
    assert [line.message for line in found] == ([] if quiet else lines)
    assert {line.level for line in found} <= {logging.INFO}
    assert all(line.logger == summary.__name__ for line in found)


@pytest.mark.parametrize("quiet", [False, True])
def test_an_interruption_is_a_warning_that_is_never_held_back(quiet: bool) -> None:
    (line,) = closing_lines(ended("interrupted", "SIGTERM"), quiet=quiet, outputs=OUTPUTS)
    assert (line.level, line.message) == (logging.WARNING, "interrupted by SIGTERM")


@pytest.mark.parametrize(
    ("outputs", "targets", "says_so"),
    [([7.5, 7.5], [6.0, 9.0], True), ([7.5, 7.6], [6.0, 9.0], False), ([7.5, 7.5], [7.5, 7.5], False)],
)
def test_a_dead_network_is_told(outputs: list[float], targets: list[float], says_so: bool) -> None:
    """It answers every input with one number, where the targets differ."""
    lines = output_lines([[1.0], [2.0]], outputs, targets)
    assert ("all outputs are equal: the network is dead for this seed; try another" in lines) is says_so
    assert len(lines) == 3 + says_so
