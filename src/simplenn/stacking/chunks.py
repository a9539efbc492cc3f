"""A batch of runs cut into stacks that fit in memory. Knows nothing of files.

Shapes: R runs.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor

from simplenn.data import EVALUATION_BATCH, TensorDataModule
from simplenn.groups.outcome import Outcome
from simplenn.setup import build_run
from simplenn.stacking.initial_weights import InitialWeights
from simplenn.stacking.memory import free_memory, is_out_of_memory, release
from simplenn.stacking.training import CannotCompile, Columns, num_runs_of, train_stack, with_compiler

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.5  # of what is free, the rest being for what is written while the next stack trains
CPU_BYTES = 2 * 2**30
STATE_COPIES = 4  # now, last, spare, best
NUM_CURVES = 6


def train_in_stacks(
    cfg: DictConfig,
    columns: Columns,
    max_stack: int | None = None,
    callbacks: Sequence[Callback] = (),
    directory: Path | None = None,
    initial: InitialWeights | None = None,
) -> Iterator[tuple[range, Outcome]]:
    """The runs of `columns` by stacks of at most `max_stack`, each with the places of its runs.

    A stack that doesn't fit in memory is halved and tried again. Ends with the first that is interrupted.
    """
    num_runs = num_runs_of(columns)
    size = max_stack or default_max_stack(cfg)
    initial = initial or InitialWeights(cfg)
    start = 0
    while start < num_runs:
        runs = range(start, min(start + size, num_runs))
        own = {key: values[runs.start : runs.stop] for key, values in columns.items()}
        try:
            outcome = train_stack(cfg, own, callbacks, directory, initial)
        except CannotCompile as error:
            log.info("trainer.compile=true is ignored: %s", error)
            cfg = with_compiler(cfg, False)
            continue
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(runs) == 1:
                raise
            outcome = None
        if outcome is None:  # outside of the handler, whose traceback holds on to the stack
            size = -(-len(runs) // 2)
            log.info("a stack of %d runs doesn't fit in memory; trying again with %d", len(runs), size)
            release()
            continue
        yield runs, outcome
        if outcome.interruption is not None:
            return
        start = runs.stop


def default_max_stack(cfg: DictConfig) -> int:
    """How many runs train together within the memory that is free on the device."""
    on_gpu = cfg.trainer.get("accelerator", "auto") != "cpu" and torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] if on_gpu else min(free_memory(), CPU_BYTES / MEMORY_SHARE)
    return max(1, int(free * MEMORY_SHARE / bytes_per_run(cfg)))


def bytes_per_run(cfg: DictConfig) -> int:
    """An estimate from above: each run's states, gradients, samples, activations and curves."""
    regressor, data = build_run(cfg)
    assert isinstance(data, TensorDataModule)
    data.setup("fit")
    assert data.train is not None
    num_samples = len(data.train)
    batch_size = min(data.batch_size or num_samples, num_samples)
    x, y = data.train[: min(batch_size, 32)]
    saved: dict[int, int] = {}  # by address: what autograd keeps of one batch, for the backward pass

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = regressor.metrics(regressor(x), y)["loss"]
    weights = sum(weight.numel() * weight.element_size() for weight in regressor.parameters())
    num_slots = len(getattr(regressor.configure_optimizers(), "defaults", {}).get("betas", (0,))) + 1
    samples = x.numel() * x.element_size() + y.numel() * y.element_size()
    evaluated = min(len(data.val), EVALUATION_BATCH) if data.val is not None else 0
    activations = (sum(saved.values()) + samples) * max(batch_size, evaluated) // len(x)
    order = 16 * num_samples if data.shuffle else 0
    num_steps = -(-num_samples // batch_size)
    rows = 2 * 8 * NUM_CURVES * cfg.trainer.max_epochs + 2 * loss.element_size() * num_steps
    return weights * (STATE_COPIES * num_slots + 6) + 3 * activations + order + rows
