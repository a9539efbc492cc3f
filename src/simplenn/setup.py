"""What a run is made of, by its configuration: the network with its loss and optimizer, and the data.

A network is built anew from the seed for each training. Data are not: a user's may come from a large file. What a
command's rehearsal has set up waits here for the training that follows in this process, and the stacks of a sweep share
one data module, as do the figures of their runs.
"""

import json
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import lightning.pytorch as L
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.utils.data import TensorDataset

from simplenn.config import build, optimizer_factory
from simplenn.data import TensorDataModule
from simplenn.regressor import Regressor

MOST_BYTES_WAITING = 2**30  # data beyond it, and beyond so many, are set up again where they are needed
MOST_WAITING = 8


class Setup(NamedTuple):
    """What is trained, and on what."""

    regressor: Regressor
    data: L.LightningDataModule


def build_run(cfg: DictConfig, data: L.LightningDataModule | None = None) -> Setup:
    """The network with its initial weights, which the seed alone decides, and `data`, or else data of its own.

    Raises `ConfigError`.
    """
    L.seed_everything(cfg.seed, verbose=False)
    regressor = Regressor(build(cfg, "model", nn.Module), optimizer_factory(cfg))
    return Setup(regressor, data or build_data(cfg))


def build_data(cfg: DictConfig) -> L.LightningDataModule:
    """Raises `ConfigError`."""
    with _random_state(cfg.seed, "construction"):
        data = build(cfg, "data", L.LightningDataModule)
    # An attribute of the object hides its class's method: so it holds whatever class the user has written.
    vars(data)["setup"] = partial(_set_up_in_own_state, data.setup, cfg.seed)
    if isinstance(data, TensorDataModule):
        data.shuffle_seed = cfg.seed
        _set_up_once(data)
    return data


def keep_data(cfg: DictConfig, data: L.LightningDataModule, *, shared: bool = False) -> None:
    """Lets data wait for the training; `shared` ones are not given away to a single run. The oldest make way."""
    origin = _origin(cfg)
    if origin not in _waiting:
        num_bytes = _num_bytes(data)
        if num_bytes is None or num_bytes >= MOST_BYTES_WAITING:
            return
        _waiting[origin] = _Waiting(data, num_bytes)
        while len(_waiting) > MOST_WAITING or sum(own.num_bytes for own in _waiting.values()) > MOST_BYTES_WAITING:
            del _waiting[next(iter(_waiting))]
    _waiting[origin].is_shared |= shared


def kept_data(cfg: DictConfig) -> L.LightningDataModule | None:
    """The data that wait for this configuration; they go on waiting."""
    waiting = _waiting.get(_origin(cfg))
    return waiting.data if waiting else None


def take_data(cfg: DictConfig) -> L.LightningDataModule | None:
    """The data that wait for this configuration, for one run to keep. Those of stacks are not given away."""
    origin = _origin(cfg)
    if origin not in _waiting or _waiting[origin].is_shared:
        return None
    return _waiting.pop(origin).data


def share_data(cfg: DictConfig) -> L.LightningDataModule:
    """The data of all stacks of one configuration, and of the figures of their runs. Raises `ConfigError`."""
    data = kept_data(cfg) or build_data(cfg)
    keep_data(cfg, data, shared=True)
    return data


@dataclass(eq=False)
class _Waiting:
    data: L.LightningDataModule
    num_bytes: int
    is_shared: bool = False


_waiting: dict[str, _Waiting] = {}  # by their origin, the oldest first


def _origin(cfg: DictConfig) -> str:
    """All that a data module is built from."""
    return json.dumps([cfg.seed, OmegaConf.to_container(cfg.data, resolve=True)], sort_keys=True, default=str)


def _num_bytes(data: L.LightningDataModule) -> int | None:
    """How much memory the data take; `None` for data that can't be measured, which must not wait."""
    if not isinstance(data, TensorDataModule):
        return None
    sets = [data.train, data.val, data.test, data.extrapolation]
    if any(type(samples) is not TensorDataset for samples in sets if samples is not None):
        return None
    return sum(tensor.nbytes for samples in sets if samples is not None for tensor in samples.tensors)


@contextmanager
def _random_state(seed: int, step: str) -> Iterator[None]:
    """The global random states that a step of making data finds, of the seed and the step alone; after it, the old.

    So data that are drawn from them are the same in a resumed session, in a stack, and beside any network.
    """
    stream = np.random.SeedSequence([seed, zlib.crc32(step.encode())])
    before = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(stream.generate_state(1, np.uint64)[0]))
            number = int(stream.generate_state(1)[0])
            np.random.seed(number)
            random.seed(number)
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _set_up_in_own_state(setup: Callable[[str], None], seed: int, stage: str) -> None:
    with _random_state(seed, str(getattr(stage, "value", stage)).lower()):
        setup(stage)


def _set_up_once(data: TensorDataModule) -> None:
    """Lets each stage's `setup` be done once, by whoever needs it first: Lightning calls it at each `fit`, too.

    An attribute of the object hides its class's method: so it holds whatever class the user has written. Stages are set
    up each for itself, as a user's `setup` may do something else for each.
    """
    done: set[str] = set()
    vars(data)["setup"] = partial(_set_up, data.setup, done)
    if type(data).teardown is not L.LightningDataModule.teardown:  # it may let go of the tensors
        vars(data)["teardown"] = partial(_tear_down, data.teardown, done)


def _set_up(setup: Callable[[str], None], done: set[str], stage: str) -> None:
    name = stage.lower()  # Lightning's stages are an enumeration whose members equal these words but hash otherwise
    if name not in done:
        setup(stage)
        done.add(name)


def _tear_down(teardown: Callable[[str], None], done: set[str], stage: str) -> None:
    teardown(stage)
    done.clear()
