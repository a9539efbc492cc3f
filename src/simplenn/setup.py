"""What a run is made of, by its configuration: the network with its loss and optimizer, and the data."""

import lightning.pytorch as L
from omegaconf import DictConfig
from torch import nn

from simplenn.config.targets import build, optimizer_factory
from simplenn.data import TensorDataModule
from simplenn.regressor import Regressor


def build_run(cfg: DictConfig) -> tuple[Regressor, L.LightningDataModule]:
    """The network with its initial weights, which the seed alone decides, and the data. Raises `ConfigError`."""
    L.seed_everything(cfg.seed, verbose=False)
    regressor = Regressor(build(cfg, "model", nn.Module), optimizer_factory(cfg))
    return regressor, build_data(cfg)


def build_data(cfg: DictConfig) -> L.LightningDataModule:
    data = build(cfg, "data", L.LightningDataModule)
    if isinstance(data, TensorDataModule):
        data.shuffle_seed = cfg.seed
    return data
