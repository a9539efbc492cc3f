"""A configuration's values: without Hydra's own, on one level, and as the command line writes them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed configuration without the node `hydra`."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


# What a resolver gives, as ${oc.env:SEED}, or Hydra's node has: not part of the configuration itself.
OUTSIDE = re.compile(r"\$\{.*:|\$\{\s*hydra\b", re.DOTALL)


def values_to_save(cfg: DictConfig) -> dict[str, Any]:
    """The values of a composed configuration without the node `hydra`, with references to other keys as they are; what
    comes from outside of the configuration is put in, as it may be another when the values are read back."""
    values: Any = OmegaConf.to_container(cfg, resolve=False, enum_to_str=True)
    values.pop("hydra", None)
    for key, value in values.items():
        if any(_outside_references(value)):
            node = cfg[key]
            is_group = OmegaConf.is_config(node)
            values[key] = _put_in(value, OmegaConf.to_container(node, resolve=True) if is_group else node)
    return values


def _put_in(value: Any, resolved: Any) -> Any:
    if isinstance(value, str):
        return resolved if OUTSIDE.search(value) else value
    if isinstance(value, dict):
        return {key: _put_in(item, resolved[key]) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_in(item, own) for item, own in zip(value, resolved, strict=True)]
    return value


def _outside_references(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The values among plain ones that refer to what is outside of the configuration, by full key."""
    return ((key, text) for key, text in texts(node, key) if OUTSIDE.search(text))


def texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text among plain values, by full key."""
    if isinstance(node, str):
        yield key, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        yield from texts(child, f"{key}.{name}" if key else str(name))


def flat(cfg: DictConfig) -> dict[str, Any]:
    """Every value by its full key, `optimizer.lr`, with what it refers to put in."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    return flatten(values)


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
