"""Which GPUs of this machine a sweep's workers get, one each. Imports torch only to count them."""

import os
from collections.abc import Iterable

from omegaconf import DictConfig

VISIBLE = "CUDA_VISIBLE_DEVICES"  # by which CUDA, as it starts in a process, knows the GPUs that it may have
WITH_GPU = ("auto", "gpu", "cuda")


def gpus_for(configurations: Iterable[DictConfig]) -> tuple[str, ...]:
    """As `CUDA_VISIBLE_DEVICES` names them; none where no run takes one, or one run takes several."""
    trainers = [cfg.trainer for cfg in configurations]
    if not any(trainer.get("accelerator", "auto") in WITH_GPU for trainer in trainers):
        return ()
    if any(str(trainer.get("devices", "auto")) not in ("auto", "1") for trainer in trainers):
        return ()
    import torch

    if VISIBLE in os.environ:
        return tuple(os.environ[VISIBLE].split(",")[: torch.cuda.device_count()])
    return tuple(map(str, range(torch.cuda.device_count())))
