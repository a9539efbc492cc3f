"""A trained run read back: its metrics on the test set, its predictions."""

import logging
from collections.abc import Sequence
from contextlib import suppress

import lightning.pytorch as L
import torch
from torch import Tensor

from simplenn.config import check_config, identity
from simplenn.data import TensorDataModule
from simplenn.errors import ConfigError
from simplenn.metric import metrics_of_epoch
from simplenn.regressor import Regressor
from simplenn.rundir import Run, checkpoint
from simplenn.rundir.rewind import stale_best
from simplenn.setup import build_run
from simplenn.training import Parts, first_samples, make_trainer, predicted, without_tips

log = logging.getLogger(__name__)

ONE_DEVICE = {"accelerator": "auto", "devices": 1, "num_nodes": 1, "strategy": "auto"}


def load_run(run: Run, which: str = "best", allow: Sequence[str] = ()) -> tuple[Regressor, L.LightningDataModule, int]:
    """The run's model with the weights of its `best` or `last` checkpoint, its data, and the epoch of these.

    `allow` names packages that its configuration may use beside the usual ones; what the run itself says
    about that doesn't count. A run that has diverged is warned of. Raises `ConfigError` where a checkpoint is missing
    or damaged.
    """
    cfg = check_config(run.config)
    cfg.allow = list(allow)
    regressor, data = build_run(cfg)
    path, own, result = run.checkpoint(which), identity(cfg), run.result()
    try:
        state = checkpoint.load(path, of=own)
        regressor.load_state_dict(state["state_dict"], assign=True)  # in the precision that they have
    except FileNotFoundError:
        other = "last" if which == "best" else "best"
        fix = f"try the {other} one (--checkpoint {other})" if run.checkpoint(other).exists() else "train it first"
        why = has_none(result.status, result.message) if result is not None else "has none"
        raise ConfigError(
            f"{run.directory} must have a checkpoint checkpoints/{which}.ckpt, and {why}; {fix}"
        ) from None
    except Exception as error:
        reason, other = " ".join(str(error).split()), "last" if which == "best" else "best"
        raise ConfigError(f"{path} can't be used: {reason}; try --checkpoint {other}") from error
    if which == "best" and (reason := stale_best(run, own, state)):
        raise ConfigError(f"{path} can't be used: {reason}; go on with the run, or try --checkpoint last")
    epoch = checkpoint.epochs_completed(state)
    if result is not None:
        warn_if_diverged(str(run.directory), result.status, result.message, epoch)
    return regressor.eval(), data, epoch


def has_none(status: str, message: str) -> str:
    """Says of weights that a run doesn't have that it has none, and why where it has diverged before there were any."""
    return f"has none, as the run {message}" if status == "diverged" else "has none"


def warn_if_diverged(run: str, status: str, message: str, epoch: int) -> None:
    """Says which weights those of a run that has diverged are, which would be taken for trained ones."""
    if status == "diverged":
        whose = f"epoch {epoch}" if epoch else "before its first epoch: its initial ones"
        log.warning("%s: the run %s; these are the weights of %s", run, message, whose)


def evaluate(run: Run, regressor: Regressor, data: L.LightningDataModule) -> dict[str, float]:
    """The metrics on the test set and, where the data has one, outside the training range (`extrapolation/`).

    In the precision that the run was trained in, on one device. Raises `ConfigError` where the data has neither.
    """
    if isinstance(data, TensorDataModule):
        data.setup("test")
        if not data.test_dataloader():
            name = type(data).__name__
            raise ConfigError(f"evaluate.py needs data with a test set, {name} has none; set self.test in its setup")
    settings = check_config(run.config).trainer
    settings.update(ONE_DEVICE)
    try:
        trainer = make_trainer(settings, run.directory, [Parts()])
    except Exception as error:  # of keys that the file has and the schema doesn't
        reason = " ".join(str(error).split())
        raise ConfigError(f"trainer in {run.directory} cannot be built as configured: {reason}") from error
    with without_tips():
        trainer.test(regressor, datamodule=data, verbose=False)
    return {name: float(value) for name, value in metrics_of_epoch(trainer.callback_metrics).items()}


def predict(
    regressor: Regressor, data: L.LightningDataModule, rows: list[list[float]], places: Sequence[str] = ()
) -> Tensor:
    """Rows of F numbers -> [B, 1]; F is the data's or, where the data can't say, that of the first row.

    `places` says where each row stands, for what refuses one.

    Raises `ConfigError` for a row of another length, and for one beyond single precision, in it or behind it.
    """
    shape = _sample_shape(data) or torch.Size([len(rows[0])])
    places = places or [f"row {number}" for number in range(1, len(rows) + 1)]
    for place, row in zip(places, rows, strict=True):
        if len(row) != shape.numel():
            raise ConfigError(f"{place} must have {shape.numel()} numbers, got {len(row)}: {row}")
    x = torch.tensor(rows).view(-1, *shape)
    predictions = predicted(regressor.predict, x)
    finite = torch.cat([x.view(len(rows), -1), predictions], dim=1).isfinite().all(dim=1)
    if not finite.all():
        wrong = int(finite.int().argmin())
        raise ConfigError(
            f"{places[wrong]} must stay within single precision, got {rows[wrong]}, of which the network makes "
            f"{predictions[wrong].item()}; try smaller numbers"
        )
    return predictions


def _sample_shape(data: L.LightningDataModule) -> torch.Size | None:
    with suppress(ConfigError):  # a prediction needs no data: its files may be gone
        samples = first_samples(data, 1)
        return None if samples is None else samples[0].shape[1:]
    return None
