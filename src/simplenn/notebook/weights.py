"""The weights of many runs of a sweep, stacked.

Shapes: R runs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars
import torch
from torch import Tensor

from simplenn.errors import ConfigError
from simplenn.notebook.arguments import known_checkpoint
from simplenn.rundir import Run
from simplenn.sweep.part_arrays import read_weights
from simplenn.sweep.parts import CHECKPOINTS, WEIGHTS, find_parts

NETWORK = "network."  # what the names of a `Regressor`'s weights begin with
PLACE = "place"

Piece = tuple[np.ndarray, Mapping[str, Tensor]]  # the places of some runs, and their weights [r, ...]


def weights_of(sweep: Path, runs: polars.DataFrame, which: str = "last") -> dict[str, Tensor]:
    """[R, ...] by the names of the network's parameters, of the runs in these rows of `all_runs`; NaN for a run that
    has left none, or failed in its first epoch.

    `which` is `last` or `best`. Raises `ConfigError` where the runs' networks are of several shapes, and `Damaged`.
    """
    known_checkpoint(which)
    stacked: dict[str, Tensor] = {}
    for places, weights in _pieces(sweep, runs.with_row_index(PLACE), which):
        own = {name.removeprefix(NETWORK): tensor for name, tensor in weights.items()}
        if not stacked:
            stacked = {name: _nothing(len(runs), tensor) for name, tensor in own.items()}
        before, now = ({name: list(tensor.shape[1:]) for name, tensor in found.items()} for found in (stacked, own))
        if before != now:
            raise ConfigError(
                f"the weights of runs can be stacked where all networks have one shape, got {before} and {now}; "
                "try weights_of(sweep.results.filter(...))"
            )
        for name, tensor in own.items():
            stacked[name][torch.from_numpy(places)] = tensor.to(stacked[name].dtype)
    untrained = torch.tensor(((runs["status"] == "failed") & (runs["epoch"] == 0)).to_list(), dtype=torch.bool)
    for tensor in stacked.values():  # of which the part has the initial weights
        tensor[untrained] = _nothing(int(untrained.sum()), tensor)
    return stacked


def _nothing(num_runs: int, like: Tensor) -> Tensor:
    value = float("nan") if like.is_floating_point() else 0
    return torch.full((num_runs, *like.shape[1:]), value, dtype=like.dtype)


def _pieces(sweep: Path, runs: polars.DataFrame, which: str) -> Iterator[Piece]:
    parts = {part.number: part for part in find_parts(sweep)}
    for (number,), own in runs.drop_nulls("part").group_by("part", maintain_order=True):
        part = parts[int(str(number))]
        name = WEIGHTS if which == "last" else CHECKPOINTS
        part.verify([name])
        rows = own["row"].to_list()
        yield (
            own[PLACE].to_numpy().astype(np.int64),
            part.sound(name, lambda part=part, rows=rows: read_weights(part.path, rows, which)),
        )
    for place, subdir in runs.filter(polars.col("part").is_null()).select(PLACE, "subdir").iter_rows():
        path = Run(sweep / subdir).checkpoint(which)
        if not path.exists():
            continue
        from simplenn.rundir import checkpoint  # by Lightning, which takes seconds

        try:
            state = checkpoint.load(path)["state_dict"]
        except (checkpoint.DamagedCheckpoint, OSError) as error:
            raise ConfigError(f"{path} can't be used: {' '.join(str(error).split())}") from error
        yield np.array([place]), {name: tensor[None] for name, tensor in state.items()}
