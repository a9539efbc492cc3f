"""A configuration's values: without Hydra's own, on one level, and as the command line writes them."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed configuration without the node `hydra`."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


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
