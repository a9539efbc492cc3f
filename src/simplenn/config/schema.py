"""The table of keys: each one's type, its rule in words and as a test, a valid example, and its kind.

Knows neither Hydra nor torch. `checking` holds a configuration against the types and rules; the identity of a run,
what a resume may change and what the jobs of a sweep may differ in derive from the kinds.
"""

from dataclasses import dataclass, fields
from typing import Any

from simplenn.config.rules import (
    Kind,
    count,
    fraction,
    not_negative,
    of_kind,
    of_the_command,
    one_of,
    positive,
    rule,
    seed_number,
    switch,
)

NAME_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,+-")


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
    accelerator: str = of_kind(Kind.EXECUTION, one_of("auto", "cpu", "gpu", "cuda", "mps", "tpu"))
    devices: int | str = of_kind(
        Kind.EXECUTION, rule("auto or a number of devices", 1, lambda v: isinstance(v, str) or v != 0)
    )
    num_nodes: int = of_kind(Kind.EXECUTION, count(1))
    strategy: str = of_kind(Kind.EXECUTION, rule("the name of a Lightning strategy", "auto"))
    max_epochs: int = of_kind(Kind.LENGTH, count(40))
    # The next two look like execution, and are settings: another precision gives other numbers, and so do other
    # kernels, which is what `deterministic` chooses between.
    precision: str = one_of("32-true", "32", "64-true", "64", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
    deterministic: bool | str = rule("true, false or warn", True, lambda v: v in (True, False, "warn"))
    gradient_clip_val: float | None = rule("a positive number or null", 1.0, lambda v: v is None or v > 0)
    gradient_clip_algorithm: str | None = one_of("norm", "value", None)
    accumulate_grad_batches: int = count(1)
    check_val_every_n_epoch: int = count(1)  # decides which epochs have validation metrics, and so which one is best
    detect_anomaly: bool = switch(False)  # a setting: with it, a run whose gradient is NaN fails instead of diverging
    compile: bool | str = of_kind(
        Kind.EXECUTION, rule("auto, true or false", "auto", lambda v: v is True or v is False or v == "auto")
    )


def switches() -> set[str]:
    """The names of keys that are true or false. YAML's 0 and 1 mean the same to them, and are not numbers there."""
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


@dataclass
class Config:
    seed: int = of_kind(Kind.SEED, seed_number())
    name: str | None = of_the_command(
        rule(
            "a file name of letters, digits and . _ = , + - that doesn't begin with . or -",
            "first_try",
            lambda v: v is None or (bool(v) and len(v) <= 150 and v[0] not in ".-" and set(v) <= NAME_CHARACTERS),
        )
    )
    resume: bool = of_the_command(switch(True))
    progress: str = of_the_command(one_of("auto", "bar", "lines", "none"))
    quiet: bool = of_the_command(switch(True))
    # What a run shows of itself: each job of a sweep may have its own, and a resume keeps what the run had.
    show_outputs: bool = of_kind(Kind.COMMAND, switch(True))
    histograms: bool = of_kind(Kind.COMMAND, switch(True))
    run_dirs: str = of_the_command(one_of("auto", "all", "none"))
    max_stack: int | None = of_kind(Kind.EXECUTION, count(1000), one_per_command=True)
    verify: int = of_the_command(count(5, least=0))
    rerun: str | None = of_the_command(one_of("failed", "diverged", "all", None))
    on_error: str = of_the_command(one_of("auto", "continue", "stop"))
    allow: list[str] = of_the_command(rule("a list of package names", ["my_package"]))
    model: Any = rule("a group", "simple")
    data: Any = rule("a group", "sum")
    optimizer: Any = rule("a group", "sgd")
    trainer: Any = rule("a group", "auto")


_ENTRIES = {entry.name: entry.metadata for entry in fields(Config)}
_ENTRIES |= {f"trainer.{entry.name}": entry.metadata for entry in fields(TrainerConfig)}

COMMAND_WIDE = tuple(key for key, metadata in _ENTRIES.items() if metadata["one_per_command"])


def kind_of(key: str) -> Kind:
    """The kind of a key by its full name; those that the table doesn't list, a user's own, are settings."""
    return _ENTRIES[key]["kind"] if key in _ENTRIES else Kind.SETTING


def known_names() -> list[str]:
    """The full names of all keys that the table has, of whichever class."""
    names = [*_ENTRIES]
    for target, schema in TARGETS.items():
        group = {"network": "model", "data": "data", "optim": "optimizer"}[target.split(".")[1]]
        names += [f"{group}.{entry.name}" for entry in fields(schema)]
    return list(dict.fromkeys(names))
