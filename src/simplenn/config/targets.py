"""What a configuration may name by `_target_`, so that one from elsewhere runs no code.

A name must begin with an allowed package, and must be a class of one of three kinds: a network, a data module
or an optimizer. Functions are refused, wherever they come from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config.places import place_in_users_code
from simplenn.config.values import as_override
from simplenn.errors import ConfigError

PACKAGES = ("torch", "lightning", "simplenn")


def check_targets(cfg: Any, allow: Sequence[str] = ()) -> None:
    """Refuses a `_target_`, at any depth, outside the allowed packages. Raises `ConfigError`; imports nothing."""
    packages = (*PACKAGES, *allow)
    for key, name in _targets(OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg):
        if not isinstance(name, str) or name.split(".")[0] not in packages or "." not in name:
            package = str(name).split(".")[0]
            raise ConfigError(
                f"{key} must name a class in {', '.join(packages)}, got {name!r}; "
                f"if you trust its code, add 'allow=[{package}]' on the command line "
                f"(--allow {package} where a run is read back)"
            )


def build(cfg: DictConfig, group: str, kind: type, **arguments: Any) -> Any:
    """An instance of what the group's `_target_` names, which must be a `kind`. Raises `ConfigError`."""
    from hydra.utils import instantiate

    _check_classes(cfg, group)
    try:
        built = instantiate(cfg[group], _convert_="all", **arguments)
    except Exception as error:
        raise _unbuildable(group, error) from error
    if not isinstance(built, kind):
        raise ConfigError(f"{group}._target_ must make a {kind.__name__}, got {type(built).__name__}")
    return built


def optimizer_factory(cfg: DictConfig) -> Callable[..., Any]:
    """What makes the configured optimizer from an iterable of parameters, and from values other than configured.

    Raises `ConfigError`.
    """
    _check_classes(cfg, "optimizer")
    settings: Any = OmegaConf.to_container(cfg.optimizer, resolve=True)
    make = resolve_name(settings.pop("_target_"))

    def factory(parameters: Any, **values: Any) -> Any:
        try:
            return make(parameters, **(settings | values))
        except (TypeError, ValueError) as error:
            raise _unbuildable("optimizer", error, values) from error

    return factory


def try_optimizers(cfg: DictConfig, columns: Mapping[str, Sequence[Any]]) -> None:
    """Makes the optimizer with each combination of the values that its keys have in the columns of a sweep's runs.

    Raises `ConfigError` for one that its constructor refuses, and for an optimizer without a learning rate, which is
    in every row of metrics.
    """
    from torch import nn, zeros
    from torch.optim import Optimizer

    factory, parameter = optimizer_factory(cfg), nn.Parameter(zeros(1, 1))
    for values in combinations(columns) or [{}]:
        optimizer = factory([parameter], **values)
        if not isinstance(optimizer, Optimizer):
            raise ConfigError(f"optimizer._target_ must make an Optimizer, got {type(optimizer).__name__}")
        if "lr" not in optimizer.defaults:
            raise ConfigError(
                f"optimizer must have a learning rate lr among its defaults, got {', '.join(optimizer.defaults)}; "
                f"try super().__init__(params, {{'lr': lr, ...}}) in {type(optimizer).__name__}"
            )


def combinations(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The distinct combinations of values that the optimizer's keys have in a sweep's runs."""
    names = [key.removeprefix("optimizer.") for key in columns if key.startswith("optimizer.")]
    rows = zip(*(columns[f"optimizer.{name}"] for name in names), strict=True)
    return [dict(zip(names, row, strict=True)) for row in {repr(row): row for row in rows}.values()]


def _unbuildable(group: str, error: Exception, values: Mapping[str, Any] | None = None) -> ConfigError:
    # Hydra wraps what a constructor raises; the constructor's own message is the useful one.
    cause = error.__cause__ or error
    reason = " ".join(str(cause).split()) + place_in_users_code(cause)
    overrides = ", ".join(f"{group}.{key}={as_override(value)}" for key, value in (values or {}).items())
    where = f"with {overrides}; " if overrides else ""
    return ConfigError(f"{group} cannot be built as configured: {reason}; {where}see conf/{group}/")


def _check_classes(cfg: DictConfig, group: str) -> None:
    from lightning.pytorch import LightningDataModule
    from torch.nn import Module
    from torch.optim import Optimizer

    section = OmegaConf.to_container(cfg[group], resolve=True)
    check_targets({group: section}, cfg.get("allow", ()))
    for key, name in _targets(section, group):
        try:
            found = resolve_name(name)
        except Exception as error:
            hint = "; is its folder on PYTHONPATH?" if isinstance(error, ModuleNotFoundError) else ""
            raise ConfigError(f"{key} must name a class that can be imported, got {name!r}: {error}{hint}") from error
        if not (isinstance(found, type) and issubclass(found, Module | LightningDataModule | Optimizer)):
            kinds = "a torch.nn.Module, a LightningDataModule or a torch.optim.Optimizer"
            raise ConfigError(f"{key} must name {kinds}, got {name!r}")


def _targets(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        full = f"{prefix}.{key}" if prefix else str(key)
        if key == "_target_":
            yield full, child
        yield from _targets(child, full)
