"""Memory: how much is free, whether it ran out, giving it back."""

import gc

import torch

FALLBACK_BYTES = 2 * 2**30  # where the system doesn't say


def free_memory() -> float:
    """Bytes."""
    try:
        with open("/proc/meminfo") as stream:
            lines = dict(line.split(":", 1) for line in stream)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return FALLBACK_BYTES


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def release() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
