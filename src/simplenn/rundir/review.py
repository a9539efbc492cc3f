"""What TensorBoard shows of a run beside its curves: hyperparameters, graph, histograms, predictions."""

import warnings
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
import numpy as np
from omegaconf import DictConfig
from torch import Tensor

from simplenn.config import Kind, flat, kind_of
from simplenn.data import TensorDataModule
from simplenn.regressor import Regressor
from simplenn.rundir.events import EventFile
from simplenn.rundir.predictions import PredictionFigure

HISTOGRAM_BINS = 30
ROW_KINDS = (Kind.SETTING, Kind.LENGTH)  # runs of different lengths are no repetitions of each other


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """What tells the rows of the HParams page apart, by full key: setting and length, but neither the seed nor what
    machinery the run trains on.
    """
    return row_values(flat(cfg))


def row_values(values: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters among all of a configuration's values by full key; a class by its name alone."""
    return {
        key.removesuffix("._target_"): value.rsplit(".", 1)[-1] if key.endswith("._target_") else value
        for key, value in values.items()
        if kind_of(key) in ROW_KINDS
    }


def group_name(hparams: dict[str, Any]) -> str:
    """The same for runs of one setting, so that their seeds average in the HParams page."""
    return ",".join(f"{key}={value}" for key, value in hparams.items())


def write_start(
    events: EventFile, cfg: DictConfig, regressor: Regressor, data: L.LightningDataModule, with_graph: bool
) -> None:
    """Hyperparameters and graph."""
    hparams = hyperparameters(cfg)
    events.session_start(hparams, group_name(hparams))
    if with_graph and isinstance(data, TensorDataModule):
        graph = graph_of(regressor, data)
        if graph is not None:
            events.graph(graph)


def write_histograms(events: EventFile, epoch: int, tensors: Mapping[str, Tensor]) -> list[str]:
    """One of each tensor's values. Returns the tags that have none: a value is not finite, or so large that doubles
    can't tell its bins apart or hold its square.
    """
    from torch.utils.tensorboard.summary import histogram

    left_out = []
    for tag, values in tensors.items():
        try:
            with np.errstate(over="raise", invalid="raise"):
                summary = histogram(tag, values.cpu().double().numpy(), HISTOGRAM_BINS)
        except (ValueError, FloatingPointError):
            left_out.append(tag)
        else:
            events.summary(summary, epoch)
    return left_out


def write_end(events: EventFile, epoch: int, regressor: Regressor, data: L.LightningDataModule) -> None:
    """Predictions against targets."""
    if isinstance(data, TensorDataModule):
        figure = PredictionFigure(data)
        predictions = regressor.predict(figure.inputs)[:, 0].numpy()
        events.image("predictions", next(figure.pngs(predictions[None])), epoch)


def graph_of(regressor: Regressor, data: TensorDataModule) -> bytes | None:
    """The network's graph as TensorBoard reads it; none where it can't be traced."""
    data.setup("fit")
    assert data.train is not None
    try:
        return traced_graph(regressor.network, data.train[:1][0])
    except Exception:  # a network that can't be traced trains all the same
        return None


def traced_graph(network: Any, sample: Tensor) -> bytes:
    """By torch's own tracing, which it documents only as `SummaryWriter.add_graph`, into a file of its own."""
    from torch.utils.tensorboard._pytorch_graph import graph

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        definition, _ = graph(network, sample)
    return definition.SerializeToString()
