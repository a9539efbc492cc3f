"""What the network takes and gives, held against the data before any work is done: shapes, types, an empty set.

Shapes: N samples, B batch, F features.
"""

from collections.abc import Callable, Sequence

import lightning.pytorch as L
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor

from simplenn.config import place_in_users_code
from simplenn.data import TensorDataModule
from simplenn.errors import ConfigError
from simplenn.regressor import Regressor

LOADERS = ("train_dataloader", "val_dataloader")
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def makes_own_batches(data: TensorDataModule) -> bool:
    """Whether batches may be other than rows of the data's tensors."""
    return any(getattr(type(data), name) is not getattr(TensorDataModule, name) for name in (*LOADERS, *TRANSFERS))


def check_shapes(regressor: Regressor, data: L.LightningDataModule, trainer: L.Trainer) -> None:
    """Runs the network on the first two training samples, as the trainer would. Raises `ConfigError`.

    A loss of a prediction [N] and a target [N, 1] is that of N x N pairs: torch broadcasts without a word. What data
    of another kind than `TensorDataModule` will give isn't known yet.
    """
    samples = first_samples(data, 2)
    if samples is None:
        return
    strategy, precision = trainer.strategy, trainer.precision_plugin
    device = strategy.root_device if isinstance(strategy, SingleDeviceStrategy) else torch.device("cpu")
    x, y = (precision.convert_input(tensor.to(device)) for tensor in samples)
    network = precision.convert_module(regressor.to(device)).eval()
    try:
        with torch.no_grad(), precision.forward_context():
            prediction = predicted(network, x)
    except ConfigError as error:  # some networks take other inputs than their weights' dtype, and others don't
        weight = next(network.parameters(), None)
        if weight is None or not x.is_floating_point() or x.dtype == weight.dtype:
            raise
        raise ConfigError(
            f"data must have inputs of dtype {_name(weight.dtype)}, as the model's weights, got {_name(x.dtype)}; "
            "try x.float() in its setup"
        ) from error
    if y.shape != prediction.shape:
        target = [len(x), *y.shape[1:]]
        raise ConfigError(
            f"data must have one target a sample, {list(prediction.shape)} for inputs {list(x.shape)}, got {target}; "
            "try y.reshape(-1, 1) in its setup"
        )
    _refuse_other_validation(data, samples)


def _refuse_other_validation(data: L.LightningDataModule, samples: Sequence[Tensor]) -> None:
    """What validates must be of the shape of what trains: else the first epoch is lost."""
    val = getattr(data, "val", None)
    if val is None:
        return
    if not len(val):
        raise ConfigError("data must have validation samples or no set of them, got an empty one; let its setup leave "
                          "self.val None")  # fmt: skip
    shapes = [[list(tensor.shape[1:]) for tensor in own] for own in (samples, val[:1])]
    if shapes[0] != shapes[1]:
        raise ConfigError(f"data must have validation samples like the training ones, of shapes {shapes[0]}, got "
                          f"{shapes[1]}; see self.val in its setup")  # fmt: skip


def predicted(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """[B, F] -> [B, 1]. Raises `ConfigError` where the network can't be run on `x`, or gives something else."""
    try:
        prediction = forward(x)
    except Exception as error:
        raise ConfigError(f"model cannot be run on data of shape {list(x.shape)}: {_reason(error)}") from error
    shape = getattr(prediction, "shape", None)
    if shape != (len(x), 1):
        got = type(prediction).__name__ if shape is None else list(shape)
        raise ConfigError(
            f"model must give one number a sample, [{len(x)}, 1] for inputs {list(x.shape)}, got {got}; "
            "try nn.Linear(..., 1) as its last layer, without squeeze"
        )
    return prediction


def first_samples(data: L.LightningDataModule, count: int) -> tuple[Tensor, Tensor] | None:
    """The first training samples, [B, F] and their targets, B at most `count`; `None` where only loaders know them.

    Raises `ConfigError` where the data can't be set up, or is empty.
    """
    if not isinstance(data, TensorDataModule) or makes_own_batches(data):
        return None
    try:
        data.setup("fit")
        samples = data.train[:count] if data.train else None
    except Exception as error:
        raise ConfigError(f"data cannot be set up as configured: {_reason(error)}; see conf/data/") from error
    if samples is None:
        raise ConfigError("data must have training samples, got none; let its setup set self.train to one or more")
    if len(samples) != 2:
        raise ConfigError(f"data must have inputs and targets, got {len(samples)} tensors; try TensorDataset(x, y)")
    return samples


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place_in_users_code(error)}"
