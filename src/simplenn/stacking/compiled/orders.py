"""The orders of many runs' samples by compiled code: torch draws one at a time, which takes as long as the training.

Shapes: S seeds, N samples.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from simplenn import data
from simplenn.stacking.batches import orders_of
from simplenn.stacking.compiled.library import load
from simplenn.stacking.compiled.work import DrawingWork, Threads
from simplenn.stacking.reasons import CannotCompile
from simplenn.stacking.seed_sequences import states

SOURCE = Path(__file__).with_name("orders.cpp")
FEWEST = 100  # seeds: of fewer, torch has drawn the orders in a millisecond
MOST_SAMPLES = 2**32 // 20  # of more, torch draws by another way


def compiled_orders_of(num_samples: int, seeds: Sequence[int], epoch: int) -> Tensor:
    """[S, N]: `batches.orders_of`, by compiled code where that can be had and has the same orders."""
    if len(seeds) < FEWEST or num_samples >= MOST_SAMPLES:
        return orders_of(num_samples, seeds, epoch)
    try:
        library = load(SOURCE.read_text())
    except CannotCompile:
        return orders_of(num_samples, seeds, epoch)
    given = states(seeds, epoch)
    orders = torch.empty(len(seeds), num_samples, dtype=torch.int64)
    work = DrawingWork(len(seeds), num_samples, given.ctypes.data, orders.data_ptr())
    Threads().call(library.orders, work, len(seeds))
    if any(not torch.equal(orders[i], data.shuffled(num_samples, seeds[i], epoch)) for i in (0, -1)):
        return orders_of(num_samples, seeds, epoch)
    return orders
