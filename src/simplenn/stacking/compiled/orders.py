"""The orders of many runs' samples by compiled code: torch draws one at a time, which takes as long as the training.

Shapes: S seeds, N samples.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from simplenn import data
from simplenn.stacking.batches import is_as_known, orders_of
from simplenn.stacking.compiled.library import load
from simplenn.stacking.compiled.work import DrawingWork, Threads
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.seed_sequences import states

SOURCE = Path(__file__).with_name("orders.cpp")
FEWEST = 100  # seeds: of fewer, torch has drawn the orders in a millisecond
MOST_SAMPLES = 2**32 // 20  # of more, torch draws by another way


def compiled_orders_of(num_samples: int, seeds: Sequence[int], epoch: int) -> Tensor:
    """[S, N]: `batches.orders_of`, by compiled code where that can be had and draws as torch does."""
    if len(seeds) < FEWEST or num_samples >= MOST_SAMPLES or not is_as_known(data.shuffled):
        return orders_of(num_samples, seeds, epoch)
    library = _library()
    return orders_of(num_samples, seeds, epoch) if library is None else _drawn(library, num_samples, seeds, epoch)


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled code, where it can be had and has torch's orders, also of more samples than the generator makes
    numbers at a time."""
    try:
        library = load(SOURCE.read_text())
    except CannotCompile:
        return None
    given = 1000, range(FEWEST), 1
    return library if torch.equal(_drawn(library, *given), orders_of(*given)) else None


def _drawn(library: ctypes.CDLL, num_samples: int, seeds: Sequence[int], epoch: int) -> Tensor:
    given = states(seeds, epoch)
    orders = torch.empty(len(seeds), num_samples, dtype=torch.int64)
    work = DrawingWork(len(seeds), num_samples, given.ctypes.data, orders.data_ptr())
    Threads().call(library.orders, work, len(seeds))
    return orders
