"""Holds a configuration against the schema, key by key. Imports neither torch nor Hydra.

Beside the groups, only the keys of `Config` are known. The keys of a group (model, data, optimizer, trainer) have the
types and rules of the dataclass of what its `_target_` names. A key that this dataclass doesn't have, or any key of a
group with another target, must stand in the group's own file, and its value there gives its type. So a YAML file alone
adds a network, a data set or an optimizer.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import Field, fields
from functools import cache, partial
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from simplenn.config.rules import all_finite
from simplenn.config.schema import TARGETS, Config, TrainerConfig
from simplenn.config.sizes import check_sizes
from simplenn.config.suggestions import closest, there_are
from simplenn.config.values import as_override, flatten
from simplenn.errors import ConfigError

GROUPS = ("data", "model", "optimizer", "trainer")  # data first: the model takes its num_features from there
MISSING = "???"  # OmegaConf's mark for a value that must be given
AS_WHOLE = "written without a point or an exponent"  # as Hydra's grammar has whole numbers: 1e3 is a float


# What `training.make_trainer` gives Lightning's Trainer itself, or takes for a stack: plug-ins and files of its own.
OUR_OWN = (
    "logger",
    "callbacks",
    "plugins",
    "profiler",
    "default_root_dir",
    "enable_checkpointing",
    "enable_progress_bar",
    "enable_model_summary",
    "num_sanity_val_steps",
    "use_distributed_sampler",
    "barebones",
    "model_registry",
)


def check_config(cfg: DictConfig, files: Mapping[str, DictConfig] | None = None) -> DictConfig:
    """The configuration with all references resolved, each value of its key's type and within its key's rule.

    `files` holds each group's own file as it is before overrides. Without it, as where a run's configuration is read
    back, keys beyond the schema pass as they are. Raises `ConfigError`.
    """
    try:
        values: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise _unresolvable(cfg, error) from error
    try:
        return OmegaConf.create(_checked(values, files))
    except KeyError as error:
        raise unknown_key(error.args[0], _known_keys(values, files or {})) from None


def _unresolvable(cfg: DictConfig, error: OmegaConfBaseException) -> ConfigError:
    """The refusal of a configuration with a value that is missing, or that refers to a key which is not there."""
    said = str(error).splitlines()[0]
    if isinstance(error, MissingMandatoryValue | InterpolationToMissingValueError):
        values: Any = OmegaConf.to_container(cfg, resolve=False)
        missing = [key for key, value in flatten(values).items() if value == MISSING]
        if missing:  # OmegaConf's message has the last part of the key's name only
            return ConfigError(f"{missing[0]} must be given, got ??? from its file; try {missing[0]}=...")
    found = re.match(r"Interpolation key '(\w+)\.(\w+)' not found", said)
    if isinstance(error, InterpolationKeyError) and found and found[1] in GROUPS and error.full_key:
        group, leaf = found.groups()
        return ConfigError(
            f"{said}, from which {error.full_key} takes its value; add {leaf} to the file in conf/{group}/, "
            f"or, if what its _target_ names doesn't take {leaf}, try {error.full_key}=..."
        )
    return ConfigError(said)


def _checked(values: dict[str, Any], files: Mapping[str, DictConfig] | None) -> dict[str, Any]:
    checked = {key: _typed(Config, "", key, value) for key, value in values.items()}
    for group in GROUPS:
        section = values.get(group)
        if not isinstance(section, dict):
            raise ConfigError(
                f"{group} must be a group of keys, got {section!r}; try {group}={_example(Config, group)}"
            )
        schema = _schema(group, section)
        checked[group] = {key: _group_value(schema, group, key, value, files) for key, value in section.items()}
        if schema is not None:
            check_sizes(group, checked[group])
    return checked


def check_values(
    cfg: DictConfig, key: str, values: Sequence[Any], files: Mapping[str, DictConfig] | None = None
) -> list[Any]:
    """The values that a key has in the runs of a sweep, each of the key's type and within its rule.

    `cfg` is a checked configuration that has the key, and `files` holds each group's own file: its value there gives
    the type of a key beyond the schema; without it, the value in `cfg` does. Raises `ConfigError`.
    """
    group, _, leaf = key.rpartition(".")
    schema = None
    if not group:
        check_one = partial(_typed, Config, "", key)
    else:
        schema = _schema(group, cfg[group])
        check_one = partial(_group_value, schema, group, leaf, files=files or {group: cfg[group]})
    distinct = {repr(value): value for value in values}
    checked = {text: check_one(value) for text, value in distinct.items()}
    if group and schema is not None:
        section = dict(cfg[group])
        for value in checked.values():
            check_sizes(group, section | {leaf: value})
    return [checked[repr(value)] for value in values]


def check_name(name: Any) -> str | None:
    """The value of the key `name`, as text. Raises `ConfigError`."""
    return _typed(Config, "", "name", name)


def unknown_key(key: str, known: list[str], unset: Collection[str] = ()) -> ConfigError:
    """The refusal of a key that isn't there, with the key most like it: of its own group, else of all.

    `unset` are those of the known keys that no file sets; they are shown with the + that Hydra then wants.
    """
    if key in known:
        return ConfigError(f"{key} is a key that no file of the configuration sets; try +{key}=...")
    group, _, leaf = key.rpartition(".")
    siblings = [other for other in known if group and other.startswith(f"{group}.")]
    by_leaf = {other.rpartition(".")[2]: other for other in reversed(siblings or known)}  # of equal ones the first
    near = closest(leaf, by_leaf)
    shown = {other: f"+{other}" if other in unset else other for other in known}
    hint = f"did you mean {shown[by_leaf[near[0]]]}?" if near else there_are([shown[o] for o in siblings or known])
    return ConfigError(f"{key} is not a key of the configuration; {hint}")


def known_keys(cfg: DictConfig) -> list[str]:
    """Every key that a composed configuration has or may have, in full."""
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    return _known_keys(values, {})


def unset_keys(cfg: DictConfig) -> set[str]:
    """Those of the known keys that a composed configuration doesn't have: Hydra sets them by +key=... only."""
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    present = {f"{group}.{key}" for group in GROUPS for key in values.get(group) or {}}
    return {key for key in _known_keys(values, {}) if "." in key} - present


def _known_keys(values: dict[str, Any], files: Mapping[str, DictConfig]) -> list[str]:
    keys = [entry.name for entry in fields(Config)]
    for group in GROUPS:
        section = values.get(group)
        section = section if isinstance(section, dict) else {}
        schema = _schema(group, section)
        names = [entry.name for entry in fields(schema)] if schema else []
        source: Mapping = files.get(group, {} if schema else section)
        keys += [f"{group}.{name}" for name in dict.fromkeys([*names, *map(str, source)]) if name != "_target_"]
    return keys


def _schema(group: str, section: Mapping[str, Any]) -> type | None:
    return TrainerConfig if group == "trainer" else TARGETS.get(section.get("_target_", ""))


def _group_value(schema: type | None, group: str, key: str, value: Any, files: Mapping[str, DictConfig] | None) -> Any:
    if key.startswith("_") and key.endswith("_"):
        return value
    if schema is not None and key in (entry.name for entry in fields(schema)):
        return _typed(schema, f"{group}.", key, value)
    if group == "trainer" and key in OUR_OWN:
        raise ConfigError(f"{group}.{key} must not be given, got {value!r:.60}: the run sets it itself; leave it out")
    if files is None:
        return value
    file: Any = OmegaConf.to_container(OmegaConf.create(files.get(group, {})))
    if key not in file:
        raise KeyError(f"{group}.{key}")
    if (group, key, value) == ("data", "batch_size", None):
        return None  # the full batch for every `TensorDataModule`, whatever number the file has
    return _like(f"{group}.{key}", value, file[key])


_nodes = cache(OmegaConf.structured)


def _typed(schema: type, prefix: str, key: str, value: Any) -> Any:
    entry = next((entry for entry in fields(schema) if entry.name == key), None)
    if entry is None:
        raise KeyError(prefix + key)
    try:
        typed = _converted(schema, entry, value)
    except OmegaConfBaseException:
        typed = None
        fits = False
    else:
        finite = all(map(all_finite, typed if isinstance(typed, list) else [typed]))
        fits = finite and entry.metadata["holds"](typed)
    if not fits and entry.type in (int, int | None) and _is_whole_float(value) and entry.metadata["holds"](int(value)):
        raise _refusal(prefix + key, f"{entry.metadata['rule']}, {AS_WHOLE}", value, int(value))
    if not fits:
        raise _refusal(prefix + key, entry.metadata["rule"], value, entry.metadata["example"])
    return typed


def _converted(schema: type, entry: Field, value: Any) -> Any:
    """The value as OmegaConf has it in the schema; it takes 0.1 ms a value, and a sweep may have a million."""
    if type(value) is entry.type and entry.type in (int, float, bool):
        return value
    node = _nodes(schema)
    node[entry.name] = value
    return OmegaConf.to_container(node[entry.name]) if OmegaConf.is_config(node[entry.name]) else node[entry.name]


def _like(key: str, value: Any, example: Any) -> Any:
    """The value, if it is of the type of the example: the value that the key has in its own file.

    A file that has null, a reference or ??? says nothing of the type.
    """
    if example is None or (isinstance(example, str) and (example == MISSING or example.startswith("${"))):
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
    if isinstance(value, bool) or not isinstance(value, (int, type(example))) or not all_finite(value):
        group = key.partition(".")[0]
        hint = f"; write {example}.0 in its file in conf/{group}/ to let it have a fraction"
        if isinstance(example, int) and _is_whole_float(value):
            raise _refusal(key, f"{kind}, {AS_WHOLE}", value, int(value), hint)
        has_fraction = isinstance(value, float) and isinstance(example, int) and all_finite(value)
        raise _refusal(key, kind, value, example, hint if has_fraction else "")
    return type(example)(value)


def _is_whole_float(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _refusal(key: str, rule: str, value: Any, example: Any, hint: str = "") -> ConfigError:
    return ConfigError(f"{key} must be {rule}, got {value!r}; try {key}={as_override(example)}{hint}")


def _example(schema: type, key: str) -> Any:
    return next(entry for entry in fields(schema) if entry.name == key).metadata["example"]


def root_keys() -> list[str]:
    """The keys beside the groups, which every command's configuration has."""
    return [entry.name for entry in fields(Config) if entry.name not in GROUPS]
