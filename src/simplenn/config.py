"""The typed schema that a configuration is checked against. Imports neither torch nor Hydra's machinery.

The root is closed: a key that `Config` doesn't have is refused. A group (model, data, optimizer, trainer) is
typed by the dataclass of what its `_target_` names; a key that this dataclass doesn't have, or any key of a
group with another target, must stand in the group's own file and takes the type of its value there. So a YAML
file alone adds a network, a data set or an optimizer.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

SEED_LIMIT = 2**32
NAME_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,+-")


class ConfigError(ValueError):
    """A configuration that is refused, in one line: the rule, the value received, the fix."""


def rule(text: str, example: Any, holds: Callable[[Any], bool] = lambda value: True) -> Any:
    """A field with the rule that its value must keep, in words and as a test, and a valid example."""
    default = (lambda: list(example)) if isinstance(example, list) else (lambda: example)
    return field(default_factory=default, metadata={"rule": text, "example": example, "holds": holds})


def _all_finite(value: Any) -> bool:
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
    allow: list[str] = rule("a list of package names", ["my_package"])
    model: Any = rule("a group", "simple")
    data: Any = rule("a group", "sum")
    optimizer: Any = rule("a group", "sgd")
    trainer: Any = rule("a group", "auto")


GROUPS = ("data", "model", "optimizer", "trainer")  # data first: the model takes its num_features from there


def check(cfg: DictConfig, files: Mapping[str, DictConfig] | None = None) -> DictConfig:
    """The configuration resolved, every value of its key's type and within its key's rule.

    `files` holds each group's own file as it was before overrides; without it (a configuration read back from
    a run) keys beyond the schema pass as they are. Raises `ConfigError`.
    """
    try:
        values: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    known = _known_keys(values, files or {})
    checked = {key: _typed(Config, "", key, value, known) for key, value in values.items()}
    for group in GROUPS:
        section = values.get(group)
        if not isinstance(section, dict):
            raise ConfigError(
                f"{group} must be a group of keys, got {section!r}; try {group}={_example(Config, group)}"
            )
        schema = TrainerConfig if group == "trainer" else TARGETS.get(section.get("_target_", ""))
        file = files.get(group, {}) if files is not None else None
        checked[group] = {key: _group_value(schema, group, key, value, file, known) for key, value in section.items()}
    return OmegaConf.create(checked)


def nearest(word: str, words: list[str]) -> str:
    """`; did you mean ...?` for the nearest of the words, or the whole list where none is near."""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else "there are: " + ", ".join(words)


def unknown_key(key: str, known: list[str]) -> ConfigError:
    """The refusal of a key that isn't there, naming the nearest: in its own group, else by its last word."""
    group, _, leaf = key.rpartition(".")
    siblings = [word for word in known if group and word.startswith(f"{group}.")]
    by_leaf = {word.rsplit(".", 1)[-1]: word for word in reversed(siblings or known)}
    near = difflib.get_close_matches(leaf, by_leaf, n=1, cutoff=0.6)
    hint = f"did you mean {by_leaf[near[0]]}?" if near else "there are: " + ", ".join(siblings or known)
    return ConfigError(f"{key} is not a key of the configuration; {hint}")


def known_keys(cfg: DictConfig) -> list[str]:
    """Every key that a composed configuration has or may have, in full."""
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    return _known_keys(values, {})


def _known_keys(values: dict[str, Any], files: Mapping[str, DictConfig]) -> list[str]:
    keys = [entry.name for entry in fields(Config)]
    for group in GROUPS:
        section = values.get(group)
        section = section if isinstance(section, dict) else {}
        schema = TrainerConfig if group == "trainer" else TARGETS.get(section.get("_target_", ""))
        names = [entry.name for entry in fields(schema)] if schema else []
        source: Mapping = files.get(group, {} if schema else section)
        keys += [f"{group}.{name}" for name in dict.fromkeys([*names, *map(str, source)]) if name != "_target_"]
    return keys


def _group_value(schema: type | None, group: str, key: str, value: Any, file: Mapping | None, known: list[str]) -> Any:
    if key.startswith("_") and key.endswith("_"):
        return value
    if schema is not None and key in (entry.name for entry in fields(schema)):
        return _typed(schema, f"{group}.", key, value, known)
    if file is None:
        return value
    if key not in file:
        raise unknown_key(f"{group}.{key}", known)
    return _like(f"{group}.{key}", value, OmegaConf.to_container(file)[key] if isinstance(file, DictConfig) else None)


def _typed(schema: type, prefix: str, key: str, value: Any, known: list[str]) -> Any:
    entry = next((entry for entry in fields(schema) if entry.name == key), None)
    if entry is None:
        raise unknown_key(prefix + key, known)
    try:
        node = OmegaConf.structured(schema)
        node[key] = value
        plain: Any = OmegaConf.to_container(node)
        typed = plain[key]
    except OmegaConfBaseException:
        typed = None
        fits = False
    else:
        finite = all(map(_all_finite, typed if isinstance(typed, list) else [typed]))
        fits = finite and entry.metadata["holds"](typed)
    if not fits:
        raise _refusal(prefix + key, entry.metadata["rule"], value, entry.metadata["example"])
    return typed


def _like(key: str, value: Any, example: Any) -> Any:
    """The value, if it is of the example's kind."""
    if example is None or (isinstance(example, str) and example.startswith("${")):
        return value
    if isinstance(example, list | dict):
        if type(value) is not type(example):
            raise _refusal(key, f"a {'list' if isinstance(example, list) else 'group of keys'}", value, example)
        if isinstance(example, list) and example:
            return [_like(key, item, example[0]) for item in value]
        return value
    if isinstance(example, bool | str):
        if type(value) is not type(example):
            raise _refusal(key, "true or false" if isinstance(example, bool) else "a word", value, example)
        return value
    kind = "a whole number" if isinstance(example, int) else "a finite number"
    if isinstance(value, bool) or not isinstance(value, (int, type(example))) or not _all_finite(value):
        raise _refusal(key, kind, value, example)
    return type(example)(value)


def _refusal(key: str, rule: str, value: Any, example: Any) -> ConfigError:
    return ConfigError(f"{key} must be {rule}, got {value!r}; try {key}={as_override(example)}")


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested groups as one level of full keys, `optimizer.lr`."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def as_override(value: Any) -> str:
    """A value as the command line writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "'[" + ",".join(map(as_override, value)) + "]'"
    return str(value)


def _example(schema: type, key: str) -> Any:
    return next(entry for entry in fields(schema) if entry.name == key).metadata["example"]
