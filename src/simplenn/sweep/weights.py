"""`weights.safetensors`: the final parameters of all runs, stacked along R in the order of `results.csv`.

Parameters go by the names of `Regressor.state_dict`. Where the runs' networks differ in shape there is a block for
each shape, and its names begin with the block's number: `0/network.layer1.weight`. `rows` (`0/rows`) says which
row of `results.csv`, from 0, each run of the block is. A run that left no checkpoint is NaN in the first block.

Shapes: R runs.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from simplenn.rundir import replacing

if TYPE_CHECKING:
    from simplenn.groups import RunGroup

ROWS = "rows"


def write_weights(path: Path, groups: "Sequence[RunGroup]", order: np.ndarray) -> None:
    """`order` puts the groups' runs, one after the other, into the order of `results.csv`."""
    ends = np.cumsum([len(group) for group in groups])
    places = np.split(np.argsort(order), ends[:-1])
    weights = [group.ended.last.weights for group in groups]
    blocks: dict[Any, list[int]] = {}
    for number, own in enumerate(weights):
        if own:
            blocks.setdefault(_signature(own), []).append(number)
    missing = [number for number, own in enumerate(weights) if not own]
    tensors = {}
    for block, members in enumerate(blocks.values()):
        prefix = f"{block}/" if len(blocks) > 1 else ""
        members = sorted(members + (missing if block == 0 else []))
        stacked = _stacked([weights[k] for k in members], [places[k] for k in members])
        tensors |= {prefix + name: tensor for name, tensor in stacked.items()}
    save(path, tensors, {"num_runs": len(order), "num_blocks": len(blocks), "order": "results.csv"})


def read_weights(path: Path, rows: Sequence[int]) -> dict[str, Tensor]:
    """The parameters of the runs in these rows of `results.csv`, which must be of one shape: [R, ...] each."""
    tensors = load(path)
    for name, found in tensors.items():
        prefix, _, last = name.rpartition("/")
        places = {row: place for place, row in enumerate(found.tolist())} if last == ROWS else {}
        if rows[0] in places:
            prefix = prefix + "/" if prefix else ""
            own = torch.tensor([places[row] for row in rows])
            return {
                other.removeprefix(prefix): tensor[own]
                for other, tensor in tensors.items()
                if other.startswith(prefix) and other != prefix + ROWS
            }
    raise KeyError(rows[0])


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Complete or absent. The metadata are one entry, `sweep`, as JSON: a file has several in a random order."""
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # save_file makes a file of its own, readable by its owner alone
        save_file(_apart(tensors), temporary, {"sweep": json.dumps(metadata)})
        temporary.chmod(mode)


def load(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own: safetensors refuses two names of one."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        whole = tensor.contiguous()
        apart[name] = whole.clone() if whole.untyped_storage().data_ptr() in taken else whole
        taken.add(apart[name].untyped_storage().data_ptr())
    return apart


def _signature(weights: Mapping[str, Tensor]) -> str:
    return json.dumps([(name, list(tensor.shape[1:]), str(tensor.dtype)) for name, tensor in weights.items()])


def _stacked(weights: Sequence[Mapping[str, Tensor]], places: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """One tensor for each name, in the order of the runs' places; NaN for runs without weights."""
    rows = np.concatenate(places)
    order = torch.from_numpy(np.argsort(rows))
    example = next(own for own in weights if own)
    stacked = {ROWS: torch.from_numpy(np.sort(rows))}
    for name, tensor in example.items():
        blank = torch.full_like(tensor[:1], torch.nan) if tensor.is_floating_point() else torch.zeros_like(tensor[:1])
        stacked[name] = torch.cat([own.get(name, blank) for own in weights])[order]
    return stacked
