"""Whether the runs of a configuration can train in a stack, by its keys first, then by trying. Knows no files.

Shapes: R runs, here two.
"""

from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.optim import Optimizer

from simplenn.data import TensorDataModule
from simplenn.regressor import Regressor
from simplenn.shapes import makes_own_batches
from simplenn.stacking.module import Stack
from simplenn.stacking.optimizer import SWITCHES, hyperparameters
from simplenn.stacking.rules import RULES
from simplenn.stacking.weights import InitialWeights
from simplenn.training import build_run

TRAINER_VALUES: dict[str, tuple[Any, ...]] = {  # what a key may be; a key not named here must be null
    "devices": (1, "1"),
    "num_nodes": (1,),
    "strategy": ("auto",),
    "precision": ("32-true", "32", 32, "64-true", "64", 64, "bf16-mixed"),
    "gradient_clip_algorithm": ("norm", "value"),
    "accumulate_grad_batches": (1,),
    "detect_anomaly": (False,),
}
TRAINER_FREE = (
    *("accelerator", "compile", "max_epochs", "min_epochs", "deterministic", "benchmark", "check_val_every_n_epoch"),
    *("limit_train_batches", "limit_val_batches", "gradient_clip_val"),
)
RELATIVE, ABSOLUTE = 1e-3, 1e-5  # tolerance


def why_not(cfg: DictConfig) -> str | None:
    """What keeps runs of this configuration from a stack, in a few words; `None` where nothing does.

    Raises `ConfigError` where a run can't be built at all.
    """
    reason = _of_keys(cfg)
    if reason is not None:
        return reason
    regressor, data = build_run(cfg)
    return _of_data(data) or _of_optimizer(regressor.configure_optimizers()) or _of_network(cfg, regressor, data)


def _of_keys(cfg: DictConfig) -> str | None:
    if cfg.get("histograms"):
        return "histograms=true"
    settings: Any = OmegaConf.to_container(cfg.trainer)
    for key, value in settings.items():
        if value is not None and key not in TRAINER_FREE and value not in TRAINER_VALUES.get(key, ()):
            return f"trainer.{key}={value}"
    if torch.backends.mps.is_available() and cfg.trainer.get("accelerator", "auto") != "cpu":
        return "Apple's GPUs have no double precision"
    return None


def _of_optimizer(optimizer: Optimizer) -> str | None:
    if type(optimizer) not in RULES:
        return f"there is no rule for many runs of {type(optimizer).__name__}"
    for name, value in optimizer.defaults.items():
        if value and name not in SWITCHES and isinstance(value, bool):
            return f"optimizer.{name}=true"
    return None


def _of_data(data: LightningDataModule) -> str | None:
    kind = type(data)
    if not isinstance(data, TensorDataModule):
        return f"{kind.__name__} is no TensorDataModule"
    if makes_own_batches(data):
        return f"{kind.__name__} makes its own batches"
    return None


def _of_network(cfg: DictConfig, regressor: Regressor, data: LightningDataModule) -> str | None:
    if next(regressor.buffers(), None) is not None:
        return "the network has buffers"
    if len(list(regressor.named_parameters(remove_duplicate=False))) > len(list(regressor.parameters())):
        return "the network uses one weight twice"
    if not any(weight.requires_grad for weight in regressor.parameters()):
        return "the network has nothing to train"
    data.setup("fit")
    assert isinstance(data, TensorDataModule) and data.train is not None
    x, y = data.train[: data.batch_size or len(data.train)]
    return _of_trial(cfg, regressor, (x, y))


def _of_trial(cfg: DictConfig, regressor: Regressor, batch: tuple[Tensor, Tensor]) -> str | None:
    """Two runs' losses and gradients on a batch, together and one by one."""
    alone = regressor.configure_optimizers()
    weights = InitialWeights(cfg)([cfg.seed, (cfg.seed + 1) % 2**32])
    stack = Stack(regressor, weights, (type(alone), hyperparameters(alone.defaults, {})), shared=True)
    try:
        losses = stack.batch_metrics(batch, shared=True)["loss"]
        losses.sum().backward()
    except Exception as error:
        if "randomness" in str(error):
            return "the network draws random numbers"
        return f"torch.func can't run the network for many runs: {str(error).splitlines()[0]:.120}"
    trained = [weight for weight in stack.weights if weight.requires_grad]
    if any(weight.grad is None for weight in trained):
        return "the loss doesn't depend on every weight"
    for run in range(2):
        grads = _gradients(regressor, {name: weight[run] for name, weight in weights.items()}, batch)
        together = [weight.grad[run] for weight in trained if weight.grad is not None]
        if not all(torch.allclose(a, b, RELATIVE, ABSOLUTE) for a, b in zip(grads, together, strict=True)):
            return "the network computes otherwise for many runs"
    return None


def _gradients(regressor: Regressor, weights: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> list[Tensor]:
    regressor.load_state_dict(weights)
    regressor.zero_grad()
    x, y = batch
    regressor.metrics(regressor(x), y)["loss"].backward()
    trained: list[nn.Parameter] = [weight for weight in regressor.parameters() if weight.requires_grad]
    return [weight.grad for weight in trained if weight.grad is not None]
