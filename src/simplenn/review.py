"""What TensorBoard shows of a run beside its curves: hyperparameters, graph, predictions."""

import io
import warnings
from typing import Any

import lightning.pytorch as L
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from simplenn.config import flatten
from simplenn.data import TensorDataModule
from simplenn.events import EventFile
from simplenn.regressor import Regressor

BESIDE_THE_SETTING = ("seed", "name", "resume", "progress", "quiet", "show_outputs", "histograms", "allow")


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """What distinguishes one setting from another, by full key: everything but the seed and how it is shown."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    flat = flatten({key: value for key, value in values.items() if key not in BESIDE_THE_SETTING})
    return {
        key.removesuffix("._target_"): value.rsplit(".", 1)[-1] if key.endswith("._target_") else value
        for key, value in flat.items()
    }


def write_start(
    events: EventFile, cfg: DictConfig, regressor: Regressor, data: L.LightningDataModule, with_graph: bool
) -> None:
    """Hyperparameters and graph. Runs of one setting share a group, so that seeds average in the HParams page."""
    hparams = hyperparameters(cfg)
    events.session_start(hparams, ",".join(f"{key}={value}" for key, value in hparams.items()))
    if with_graph and isinstance(data, TensorDataModule):
        graph = _graph(regressor, data)
        if graph is not None:
            events.graph(graph)


def write_end(events: EventFile, epoch: int, regressor: Regressor, data: L.LightningDataModule) -> None:
    """Predictions against targets."""
    if isinstance(data, TensorDataModule):
        events.image("predictions", _predictions(regressor, data), epoch)


def _graph(regressor: Regressor, data: TensorDataModule) -> bytes | None:
    from torch.utils.tensorboard._pytorch_graph import graph

    data.setup("fit")
    assert data.train is not None
    sample = data.train[:1][0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            definition, _ = graph(regressor.network, sample)
    except Exception:  # a network that can't be traced trains all the same
        return None
    return definition.SerializeToString()


def _predictions(regressor: Regressor, data: TensorDataModule) -> bytes:
    """A PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    data.setup("test")
    sets = {"extrapolation": data.extrapolation, "training": data.train, "validation": data.val}
    colours = {"extrapolation": "#b8b8b8", "training": "#2c6fbb", "validation": "#e08214"}
    shown: list[Tensor] = []
    for name, samples in sets.items():
        if samples is None:
            continue
        x, y = samples.tensors
        prediction = regressor.predict(x)
        axes.scatter(y, prediction, s=8, label=name, color=colours[name])
        shown += [y, prediction]
    low, high = float(min(map(torch.min, shown))) - 1, float(max(map(torch.max, shown))) + 1
    axes.axline((0, 0), slope=1, color="black", linewidth=0.8, label="exact")
    axes.set(xlabel="target", ylabel="prediction", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
