"""Runs of a sweep that trained one by one, read back from their directories.

Shapes: R runs, T epochs; here R is 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from simplenn.groups.outcome import Outcome, Snapshot
from simplenn.rundir import Run, checkpoint, in_row_order


def outcome_of(run: Run, rows: Sequence[Mapping[str, float]], weights: dict[str, Tensor]) -> Outcome:
    """How the run ended, with the rows and the weights [1, ...] that could be read of it.

    Its final and best values are those of its result. Without a result it was cut off, and counts as interrupted.
    """
    result = run.result()
    names = in_row_order({name for row in rows for name in row} - {"epoch", "step"})
    curves = {name: torch.tensor([[row.get(name, torch.nan)] for row in rows], dtype=torch.float64) for name in names}
    return Outcome(
        status=[result.status if result else "interrupted"],
        message=[result.message if result else ""],
        epoch=[result.epoch if result else len(rows)],
        steps=[int(row["step"]) for row in rows],
        curves=curves,
        last=Snapshot(epoch=torch.tensor([len(rows)]), weights=weights, optimizer={}),
        best=Snapshot(epoch=torch.tensor([-1]), weights={}, optimizer={}),  # its own best.ckpt is where it is read
        skeletons={},
        seconds=result.seconds if result else 0.0,
        finals=_arrays(result.metrics) if result else None,
        bests=_arrays(result.best) if result else None,
    )


def _arrays(values: Mapping[str, float]) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in values.items()}


def final_weights(run: Run) -> dict[str, Tensor]:
    """[1, ...] by name; none where the run has no sound checkpoint."""
    try:
        state = checkpoint.load(run.checkpoint("last"))["state_dict"]
    except (FileNotFoundError, checkpoint.DamagedCheckpoint):
        return {}
    return {name: torch.unsqueeze(tensor, 0) for name, tensor in state.items()}
