"""The typed schema of a configuration: each key's type, its rule in words and as a test, a valid example.

Knows neither Hydra nor torch; `config.check` holds a configuration against it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

SEED_LIMIT = 2**32
NAME_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,+-")


def rule(text: str, example: Any, holds: Callable[[Any], bool] = lambda value: True) -> Any:
    """A field with the rule that its value must keep, in words and as a test, and a valid example."""
    default = (lambda: list(example)) if isinstance(example, list) else (lambda: example)
    return field(default_factory=default, metadata={"rule": text, "example": example, "holds": holds})


def all_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def positive(example: float) -> Any:
    return rule("a positive number", example, lambda v: v > 0)


def not_negative(example: float) -> Any:
    return rule("a number of 0 or more", example, lambda v: v >= 0)


def fraction(example: float) -> Any:
    return rule("a number from 0 up to but without 1", example, lambda v: 0 <= v < 1)


def count(example: int | None, least: int = 1) -> Any:
    return rule(f"a whole number of {least} or more", example, lambda v: v is None or v >= least)


def one_of(*choices: Any) -> Any:
    return rule("one of " + ", ".join(map(str, choices)), choices[0], lambda v: v in choices)


def switch(example: bool) -> Any:
    return rule("true or false", example)


def seed_number() -> Any:
    return rule(f"a whole number from 0 to {SEED_LIMIT - 1}", 0, lambda v: 0 <= v < SEED_LIMIT)


@dataclass
class SimpleNNConfig:
    num_features: int = count(3)
    hidden: int = count(4)
    activation: str = one_of("relu", "sigmoid", "tanh")


@dataclass
class PostConfig:
    num_features: int = count(3)
    num_test: int = count(128)
    seed: int = seed_number()


@dataclass
class SumConfig(PostConfig):
    num_train: int = count(256)
    num_val: int = count(128, least=0)
    noise: float = not_negative(0.0)
    batch_size: int | None = count(32)


@dataclass
class OptimizerConfig:
    lr: float = positive(0.01)
    weight_decay: float = not_negative(0.0)
    maximize: bool = one_of(False)


@dataclass
class SGDConfig(OptimizerConfig):
    momentum: float = not_negative(0.0)
    dampening: float = rule("a finite number", 0.0)
    nesterov: bool = switch(False)


@dataclass
class AdamConfig(OptimizerConfig):
    betas: list[float] = rule(
        "two numbers from 0 up to but without 1",
        [0.9, 0.999],
        lambda v: len(v) == 2 and all(0 <= beta < 1 for beta in v),
    )
    eps: float = positive(1e-8)
    amsgrad: bool = switch(False)


@dataclass
class RMSpropConfig(OptimizerConfig):
    alpha: float = fraction(0.99)
    eps: float = positive(1e-8)
    momentum: float = not_negative(0.0)
    centered: bool = switch(False)


@dataclass
class AdagradConfig(OptimizerConfig):
    lr_decay: float = not_negative(0.0)
    initial_accumulator_value: float = not_negative(0.0)
    eps: float = positive(1e-10)


@dataclass
class TrainerConfig:
    accelerator: str = one_of("auto", "cpu", "gpu", "cuda", "mps", "tpu")
    devices: int | str = rule("auto or a number of devices", 1, lambda v: isinstance(v, str) or v != 0)
    num_nodes: int = count(1)
    strategy: str = rule("the name of a Lightning strategy", "auto")
    max_epochs: int = count(40)
    precision: str = one_of("32-true", "32", "64-true", "64", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
    deterministic: bool | str = rule("true, false or warn", True, lambda v: v in (True, False, "warn"))
    gradient_clip_val: float | None = rule("a positive number or null", 1.0, lambda v: v is None or v > 0)
    gradient_clip_algorithm: str | None = one_of("norm", "value", None)
    accumulate_grad_batches: int = count(1)
    check_val_every_n_epoch: int = count(1)
    detect_anomaly: bool = switch(False)
    compile: bool = switch(True)


def switches() -> set[str]:
    """The keys of optimizers that are true or false; YAML's 0 and 1 are the same to them, but are no numbers."""
    return {entry.name for schema in TARGETS.values() for entry in fields(schema) if entry.type is bool}


TARGETS: dict[str, type] = {
    "simplenn.network.SimpleNN": SimpleNNConfig,
    "simplenn.data.SumDataModule": SumConfig,
    "simplenn.data.PostDataModule": PostConfig,
    "torch.optim.SGD": SGDConfig,
    "torch.optim.Adam": AdamConfig,
    "torch.optim.AdamW": AdamConfig,
    "torch.optim.RMSprop": RMSpropConfig,
    "torch.optim.Adagrad": AdagradConfig,
}


# How a command runs, not what its run is; a sweep has one value of each.
COMMAND_KEYS = ("name", "resume", "quiet", "progress", "allow", "run_dirs", "max_stack", "verify")


@dataclass
class Config:
    seed: int = seed_number()
    name: str | None = rule(
        "a file name of letters, digits and . _ = , + - that doesn't begin with . or -",
        "first_try",
        lambda v: v is None or (bool(v) and len(v) <= 150 and v[0] not in ".-" and set(v) <= NAME_CHARACTERS),
    )
    resume: bool = switch(True)
    progress: str = one_of("auto", "bar", "lines", "none")
    quiet: bool = switch(True)
    show_outputs: bool = switch(True)
    histograms: bool = switch(True)
    run_dirs: str = one_of("auto", "all", "none")
    max_stack: int | None = count(1000)
    verify: int = count(5, least=0)
    allow: list[str] = rule("a list of package names", ["my_package"])
    model: Any = rule("a group", "simple")
    data: Any = rule("a group", "sum")
    optimizer: Any = rule("a group", "sgd")
    trainer: Any = rule("a group", "auto")
