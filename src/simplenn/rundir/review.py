"""What TensorBoard shows of a run beside its curves: hyperparameters, graph, histograms, predictions."""

import warnings
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
import numpy as np
from torch import Tensor

from simplenn.data import TensorDataModule
from simplenn.regressor import Regressor
from simplenn.rundir.events import EventFile
from simplenn.rundir.predictions import PredictionFigure

HISTOGRAM_BINS = 30
PREDICTIONS = "val/predictions"  # the tag of the figure
MOST_FIGURES = 24  # of a sweep: more pictures than that say nothing, and hide the rest


def has_figure(num: int) -> bool:
    """Whether the job of this number in its sweep, or a run that is in none (-1), leaves a figure."""
    return num < MOST_FIGURES


def write_start(
    events: EventFile,
    hparams: Mapping[str, Any],
    row: str,
    regressor: Regressor,
    data: L.LightningDataModule,
    with_graph: bool,
) -> None:
    """Hyperparameters and graph; runs of one `row` average in the HParams page."""
    events.session_start(hparams, row)
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
        events.image(PREDICTIONS, next(figure.pngs(predictions[None])), epoch)


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
