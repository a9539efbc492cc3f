"""Whether a stack can do everything that the runs of a configuration do, by looking at what they are made of. Knows no
files.

Anything that a stack isn't known to do is a reason to train the runs one by one: these functions raise `NotStackable`
with that reason. What they let pass, `proof` then tries.
"""

import inspect
import random
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf
from torch.nn.parameter import UninitializedParameter
from torch.optim import Optimizer
from torch.utils.data import TensorDataset

from simplenn.config import combinations, optimizer_factory
from simplenn.data import TensorDataModule
from simplenn.regressor import Regressor
from simplenn.setup import build_data, build_run, kept_data
from simplenn.stacking.attributes import MACHINERY, attributes_of_data, first_difference
from simplenn.stacking.internals import CONTENTS, has_backward_hooks, has_gradient_hooks, has_step_hooks
from simplenn.stacking.optimizer import SWITCHES
from simplenn.stacking.reasons import NotStackable
from simplenn.stacking.rules import UPDATE_RULES

# The values that a key of `trainer` may have; a key that is neither here nor in TRAINER_FREE must be null.
TRAINER_VALUES: dict[str, tuple[Any, ...]] = {
    "devices": (1, "1"),
    "num_nodes": (1,),
    "strategy": ("auto",),
    "precision": ("32-true", "32", 32, "64-true", "64", 64),
    "gradient_clip_algorithm": ("norm", "value"),
    "accumulate_grad_batches": (1,),
    "detect_anomaly": (False,),
}
# The keys that may have any value: a stack does the same as a run, whatever it is.
TRAINER_FREE = (
    *("accelerator", "compile", "max_epochs", "min_epochs", "deterministic", "benchmark", "check_val_every_n_epoch"),
    *("limit_train_batches", "limit_val_batches", "gradient_clip_val"),
)
# Names that Python gives to every class.
PYTHONS_OWN = {name for name in dir(type("", (), {})) if name.startswith("__")} | {"__annotations__", "__parameters__"}
# What a user may write anew in a Regressor, and in a data module: a stack calls it as a run does.
OF_REGRESSOR = {"forward", "training_step", "validation_step", "test_step", "predict_step", "configure_optimizers"}
OF_DATA = {"setup", "prepare_data", "teardown"}
SPLITS = ("train", "val")
MOST_SEEDS = 5  # for which the data are set up and compared, as that may take long


def refuse_by_keys(cfg: DictConfig) -> None:
    """Refuses by the configuration alone."""
    if cfg.get("histograms"):
        raise NotStackable("histograms=true")
    settings: Any = OmegaConf.to_container(cfg.trainer)
    for key, value in settings.items():
        if value is not None and key not in TRAINER_FREE and value not in TRAINER_VALUES.get(key, ()):
            raise NotStackable(f"trainer.{key}={value}")
    if torch.backends.mps.is_available() and cfg.trainer.get("accelerator", "auto") != "cpu":
        raise NotStackable("Apple's GPUs have no double precision")


def refuse_by_parts(
    cfg: DictConfig, columns: Mapping[str, Sequence[Any]]
) -> tuple[Regressor, dict[int, TensorDataModule]]:
    """Refuses by the regressor, the optimizers and the data; returns a regressor, and the data modules that were
    compared, set up, by seed."""
    regressor, _ = build_run(cfg, kept_data(cfg))
    _refuse_regressor(regressor)
    _refuse_optimizers(cfg, regressor, columns)
    _refuse_network(regressor)
    return regressor, _same_for_seeds(cfg, columns.get("seed", [cfg.seed]))


def refuse_trainer(trainer: Trainer, known: Container[type]) -> None:
    """Refuses by what attends a single run's `trainer`; `known` are the callbacks whose work a stack does itself."""
    callbacks: Any = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    unknown = [type(callback).__name__ for callback in callbacks if type(callback) not in known]
    unknown += [type(logger).__name__ for logger in trainer.loggers]
    if unknown:
        raise NotStackable(f"the Trainer has {', '.join(unknown)}")


def _refuse_regressor(regressor: Regressor) -> None:
    for name in _overridden(regressor, LightningModule, OF_REGRESSOR):
        raise NotStackable(f"the Regressor has its own {name}")
    bare = vars(LightningModule())
    settings = {name: value for name, value in bare.items() if name not in CONTENTS}
    changed = first_difference(settings, {name: vars(regressor).get(name) for name in settings})
    if changed:
        raise NotStackable(f"the Regressor sets {changed.lstrip('_')}")


def _refuse_optimizers(cfg: DictConfig, regressor: Regressor, columns: Mapping[str, Sequence[Any]]) -> None:
    """Looks at the optimizer for each combination of the runs' values. Each must have the numbers that the
    configuration says: `configure_optimizers` might change them, and for some values only."""
    make = optimizer_factory(cfg)
    settings: Any = OmegaConf.to_container(cfg.optimizer)
    for values in combinations(columns) or [{}]:
        own = Regressor(regressor.network, partial(make, **values))
        _refuse_optimizer(own.configure_optimizers(), own, settings | values)


def _refuse_optimizer(optimizer: Any, regressor: Regressor, settings: Mapping[str, Any]) -> None:
    if not isinstance(optimizer, Optimizer):
        raise NotStackable(f"configure_optimizers returns {type(optimizer).__name__} instead of one optimizer")
    if type(optimizer) not in UPDATE_RULES:
        raise NotStackable(f"stacks have no update rule for {type(optimizer).__name__}")
    group, *others = optimizer.param_groups
    if others or list(map(id, group["params"])) != list(map(id, regressor.parameters())):
        raise NotStackable("the optimizer does not have all weights in one parameter group")
    for name, value in optimizer.defaults.items():
        if value and name not in SWITCHES and isinstance(value, bool):
            raise NotStackable(f"optimizer.{name}=true")
        if group[name] != value or _plain(settings.get(name, value)) != _plain(value):
            raise NotStackable(f"configure_optimizers sets {name}")
    if has_step_hooks(optimizer) or "step" in vars(optimizer):
        raise NotStackable("the optimizer has a step of its own")
    if extra := group.keys() - optimizer.defaults.keys() - {"params"}:  # a learning rate scheduler adds `initial_lr`
        raise NotStackable(f"configure_optimizers sets {', '.join(sorted(extra))}")


def _refuse_network(regressor: Regressor) -> None:
    if next(regressor.buffers(), None) is not None:
        raise NotStackable("the network has buffers")
    weights = list(regressor.parameters())
    if len(list(regressor.named_parameters(remove_duplicate=False))) > len(weights):
        raise NotStackable("the network uses one weight twice")
    if any(isinstance(weight, UninitializedParameter) for weight in weights):
        raise NotStackable("the network makes its weights only when it is first called")
    if not any(weight.requires_grad for weight in weights):
        raise NotStackable("the network has nothing to train")
    if any(map(has_gradient_hooks, weights)):
        raise NotStackable("the network's weights have hooks")
    if any(map(has_backward_hooks, regressor.modules())):
        raise NotStackable("the network has backward hooks")


def _refuse_data(data: LightningDataModule) -> None:
    kind = type(data).__name__
    if not isinstance(data, TensorDataModule):
        raise NotStackable(f"{kind} is not a TensorDataModule")
    for name in _overridden(data, TensorDataModule, {*OF_DATA, "shuffle_seed"}):
        raise NotStackable(f"{kind} has its own {name}")
    for name in ("batch_size", "shuffle", *SPLITS):
        if hasattr(type(data), name):
            raise NotStackable(f"{kind} has its own {name}")


def _same_for_seeds(cfg: DictConfig, seeds: Sequence[int]) -> dict[int, TensorDataModule]:
    """Refuses data that depend on the run's seed, as a stack has them once; returns the data of some seeds, set up.

    Tried with a few of the seeds, evenly spread from the lowest to the highest: data may take long to set up.
    """
    distinct = sorted(set(seeds))
    some = {distinct[round(i * (len(distinct) - 1) / (MOST_SEEDS - 1))] for i in range(MOST_SEEDS)}
    modules: dict[int, TensorDataModule] = {}
    for seed in sorted(some):
        own = cfg.copy()
        own.seed = seed
        with without_drawing("the data module"):
            data = build_data(own)
            _refuse_data(data)
            assert isinstance(data, TensorDataModule)
            data.setup("fit")
        _refuse_data(data)  # once more, as `setup` may have replaced anything
        for split in SPLITS:
            samples = getattr(data, split)
            if samples is not None and (type(samples) is not TensorDataset or len(samples.tensors) != 2):
                raise NotStackable(f"the data module's {split} is not a TensorDataset of inputs and targets")
        modules[seed] = data
        different = first_difference(attributes_of_data(modules[min(modules)]), attributes_of_data(data))
        if different:
            raise NotStackable(f"the data module's {different} depends on the seed, or is drawn anew each time")
    return modules


@contextmanager
def without_drawing(who: str, but_torch: bool = False) -> Iterator[None]:
    """Raises `NotStackable` at the end if numbers were drawn from the global random states within; `who` drew them.

    With `but_torch`, torch's own state doesn't count: it is set anew at each epoch, and `vmap` refuses to draw from it.
    """
    before = _random_states(but_torch)
    yield
    if _random_states(but_torch) != before:
        raise NotStackable(f"{who} draws from the global random state")


def _random_states(but_torch: bool) -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    states = random.getstate(), (name, np.asarray(keys).tobytes(), *rest)
    return states if but_torch else (*states, torch.get_rng_state().numpy().tobytes())


def _overridden(thing: Any, base: type, followed: set[str]) -> list[str]:
    """The names of `base` that mean something else in `thing`, by its class or by an attribute of its own."""
    inherited = [name for name in dir(base) if name not in PYTHONS_OWN and name not in followed]
    static = inspect.getattr_static  # without running properties
    by_class = [name for name in inherited if static(type(thing), name) is not static(base, name)]
    machinery = MACHINERY[LightningModule if isinstance(thing, LightningModule) else LightningDataModule]
    return by_class + [name for name in vars(thing) if name in inherited and name not in machinery]


def _plain(value: Any) -> Any:
    """The configuration has lists where torch.optim has tuples."""
    return list(value) if isinstance(value, tuple) else value
