"""Memory: how much is free, how much a run takes, how many fit; whether it ran out, giving it back."""

import gc

import torch
from omegaconf import DictConfig
from torch import Tensor

from simplenn.data import EVALUATION_BATCH, TensorDataModule
from simplenn.setup import build_run
from simplenn.stacking.internals import is_allocator_error

MEMORY_SHARE = 0.5  # of what is free, the rest being for what is written while the next stack trains
CPU_BYTES = 2 * 2**30
STATE_COPIES = 4  # now, last, spare, best
NUM_CURVES = 6
FALLBACK_BYTES = 2 * 2**30  # where the system doesn't say


def free_memory() -> float:
    """Bytes."""
    try:
        with open("/proc/meminfo") as stream:
            lines = dict(line.split(":", 1) for line in stream)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return FALLBACK_BYTES


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


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or is_allocator_error(error)


def release() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
