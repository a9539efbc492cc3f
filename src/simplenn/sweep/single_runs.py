"""Runs of a sweep that trained one by one, read back from their directories.

Shapes: R runs, T epochs; here R is 1.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.rundir import Run, checkpoint, in_row_order, read_rows


def read_outcome(run: Run) -> Outcome:
    """What the run left. Raises `ConfigError` where its rows can't be read."""
    return _outcome(run, read_rows(run.metrics_file), _weights(run))


def read_ending(run: Run) -> Outcome:
    """How the run ended, and nothing else of it."""
    return _outcome(run, [], {})


def _outcome(run: Run, rows: Sequence[Mapping[str, float]], weights: dict[str, Tensor]) -> Outcome:
    result = run.result()  # without one the run was cut off, and counts as interrupted
    names = in_row_order({name for row in rows for name in row} - {"epoch", "step"})
    return Outcome(
        status=[result.status if result else "interrupted"],
        message=[result.message if result else ""],
        epoch=[result.epoch if result else len(rows)],
        steps=[int(row["step"]) for row in rows],
        curves={
            name: torch.tensor([[row.get(name, torch.nan)] for row in rows], dtype=torch.float64) for name in names
        },
        last=Snapshot(epoch=torch.tensor([len(rows)]), weights=weights, optimizer={}),
        best=Snapshot(epoch=torch.tensor([-1]), weights={}, optimizer={}),  # its own best.ckpt is where it is read
        skeletons={},
        seconds=result.seconds if result else 0.0,
    )


def _weights(run: Run) -> dict[str, Tensor]:
    """[1, ...] by name; none where the run has no sound checkpoint."""
    try:
        state = checkpoint.load(run.checkpoint("last"))["state_dict"]
    except (FileNotFoundError, checkpoint.DamagedCheckpoint):
        return {}
    return {name: torch.unsqueeze(tensor, 0) for name, tensor in state.items()}
