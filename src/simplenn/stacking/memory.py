"""How many runs fit in memory: what is free, what a run takes, and what to do when it ran out.

Shapes: R runs, N samples, B batch.
"""

import gc
import math
from types import SimpleNamespace

import torch
from omegaconf import DictConfig
from torch import Tensor

from simplenn.data import EVALUATION_BATCH, TensorDataModule
from simplenn.groups.columns import Columns
from simplenn.regressor import Batch
from simplenn.setup import build_run, share_data
from simplenn.stacking.internals import is_allocator_error
from simplenn.stacking.optimizer import hyperparameters
from simplenn.stacking.rules import UPDATE_RULES
from simplenn.stacking.steps import Steps, TrainerView, Weights

MEMORY_SHARE = 0.5  # of what is free; the rest is for what is written while the next stack trains
CPU_BYTES = 2**30  # the most that a stack takes on the CPU, however much is free
STATE_COPIES = 4  # of weights and optimizer state: the present one, `last`, `best`, and one that is being made
WEIGHT_COPIES = 6  # besides those: gradients, and what the update rule computes on its way
CURVE_COPIES = 2  # the recorder's, and those of the outcome
LISTS = 1024  # bytes a run in Python's lists: seeds, numbers of its own, how it ended
FALLBACK_BYTES = 2 * 2**30  # where the system doesn't say what is free
NUM_TRIED = 32  # samples of a batch, by which the activations of a whole one are estimated


def free_memory() -> float:
    """In bytes."""
    try:
        with open("/proc/meminfo") as stream:
            lines = dict(line.split(":", 1) for line in stream)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return FALLBACK_BYTES


def default_max_stack(cfg: DictConfig, columns: Columns, allowed: float = math.inf) -> int:
    """How many runs train together within the memory that is free on the device; of the machine's own, this process
    may have so many bytes more as are `allowed`."""
    on_gpu = cfg.trainer.get("accelerator", "auto") != "cpu" and torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] if on_gpu else min(free_memory(), allowed, CPU_BYTES / MEMORY_SHARE)
    return max(1, int(free * MEMORY_SHARE / bytes_per_run(cfg, columns)))


def bytes_per_run(cfg: DictConfig, columns: Columns) -> int:
    """How much memory each run of a stack takes, estimated from above.

    Counted are weights and the optimizer's state with their copies, gradients, activations, the order of the samples,
    the losses of an epoch's steps, the curves, and what Python keeps of each run.
    """
    regressor, data = build_run(cfg, share_data(cfg))
    assert isinstance(data, TensorDataModule)
    data.setup("fit")
    assert data.train is not None
    num_samples = len(data.train)
    batch_size = min(data.batch_size or num_samples, num_samples)
    optimizer = regressor.configure_optimizers()
    rule = UPDATE_RULES[type(optimizer)](hyperparameters(optimizer.defaults, columns))
    weights = {name: w.detach().clone().requires_grad_(w.requires_grad) for name, w in regressor.named_parameters()}
    x, y = data.train[: min(batch_size, NUM_TRIED)]
    saved, loss, num_metrics = _step(Steps(regressor), weights, (x, y), validates=data.val is not None)
    evaluated = min(len(data.val), EVALUATION_BATCH) if data.val is not None else 0
    # of a whole batch, which the backward pass turns into gradients of the same size, in one more copy on the way
    activations = 3 * (saved + _size(x) + _size(y)) * max(batch_size, evaluated) // len(x)
    order = 16 * num_samples if data.shuffle else 0  # numbers of 8 bytes: the epoch's order, and each batch's
    losses = 2 * _size(loss) * -(-num_samples // batch_size)
    curves = CURVE_COPIES * 8 * num_metrics * cfg.trainer.max_epochs
    states = sum(map(_size, weights.values())) * (STATE_COPIES * (1 + len(rule.slots)) + WEIGHT_COPIES)
    return states + activations + order + losses + curves + LISTS


def _step(steps: Steps, weights: Weights, batch: Batch, *, validates: bool) -> tuple[int, Tensor, int]:
    """Takes a step of one run: the bytes that autograd keeps for the backward pass, the loss, and how many curves a run
    has: one for each metric, and the learning rate."""
    saved: dict[int, int] = {}  # bytes by address: what two operations keep is there once

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.data_ptr()] = _size(tensor)
        return tensor

    steps.show_trainer(TrainerView(SimpleNamespace(**dict.fromkeys(TrainerView.SHARED, 1))))  # there is no Trainer yet
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss, metrics = steps.train(weights, batch, 0)
    if validates:
        metrics = metrics | steps.validate(weights, batch, 0)
    return sum(saved.values()), loss, len(metrics) + 1


def _size(tensor: Tensor) -> int:
    """In bytes."""
    return tensor.numel() * tensor.element_size()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, whatever its class, says that there is not enough memory."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or is_allocator_error(error)


def release() -> None:
    """Gives back what nobody refers to any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
