"""What a configuration may name by `_target_`, so that one from elsewhere runs no code.

Named may be what this project uses: the networks and data modules of simplenn, the modules of `torch.nn`, the
optimizers of `torch.optim`. Other packages have classes of these kinds that download, or load pickles: they must be
named by `allow`, and their classes must still be a network, a data module or an optimizer. Functions are refused,
wherever they come from.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config.places import place_in_users_code
from simplenn.config.values import as_override
from simplenn.errors import ConfigError

# By name alone, as importing a module runs its code.
USED = re.compile(
    r"(simplenn\.network|simplenn\.data|torch\.nn|torch\.nn\.modules(\.[a-z]\w*)?|torch\.optim(\.[a-z]\w*)?)\.[A-Z]\w*"
)
HOMES = ("simplenn.network", "simplenn.data", "torch.nn.modules", "torch.optim")  # where such a class must be defined
INSTRUCTIONS = ("_partial_", "_recursive_", "_convert_", "_mode_")  # Hydra's: what it does with a _target_


def check_targets(cfg: Any, allow: Sequence[str] = ()) -> None:
    """Refuses a `_target_`, at any depth, that is neither of this project's use nor of an allowed package.

    Raises `ConfigError`; imports nothing.
    """
    for key, name in _targets(OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg):
        if key.rpartition(".")[2] in INSTRUCTIONS:
            raise ConfigError(f"{key} must not be given, got {name!r}: a _target_ is made at once; leave it out")
        if not isinstance(name, str) or not (USED.fullmatch(name) or _is_allowed(name, allow)):
            package = str(name).split(".")[0]
            packages = ", ".join(("torch.nn", "torch.optim", "simplenn", *allow))
            raise ConfigError(
                f"{key} must name a class in {packages}, got {name!r}; "
                f"if you trust its code, add 'allow=[{package}]' on the command line "
                f"(--allow {package} where a run is read back)"
            )


def is_plain_class(found: Any) -> bool:
    """Whether it is a class of this project's use, wherever it was found: it neither loads nor downloads anything."""
    from torch.nn import Module
    from torch.optim import Optimizer

    kinds = {"simplenn": _kinds(), "torch.nn": (Module,), "torch.optim": (Optimizer,)}
    home = next((home for home in HOMES if isinstance(found, type) and _is_in(found.__module__, home)), "")
    return any(home.startswith(package) and issubclass(found, kind) for package, kind in kinds.items())


def _is_allowed(name: str, allow: Sequence[str]) -> bool:
    return "." in name and name.split(".")[0] in allow


def _is_in(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}.")


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
    section = OmegaConf.to_container(cfg[group], resolve=True)
    check_targets({group: section}, cfg.get("allow", ()))
    for key, name in _targets(section, group):
        try:
            found = resolve_name(name)
        except Exception as error:
            hint = "; is its folder on PYTHONPATH?" if isinstance(error, ModuleNotFoundError) else ""
            raise ConfigError(f"{key} must name a class that can be imported, got {name!r}: {error}{hint}") from error
        # A class of the project's use may be imported by any module of an allowed package, and not the other way round.
        if not (isinstance(found, type) and issubclass(found, _kinds())) or not (
            is_plain_class(found) or _is_allowed(name, cfg.get("allow", ()))
        ):
            kinds = "a torch.nn.Module, a LightningDataModule or a torch.optim.Optimizer"
            raise ConfigError(f"{key} must name {kinds}, got {name!r}")


def _kinds() -> tuple[type, ...]:
    from lightning.pytorch import LightningDataModule
    from torch.nn import Module
    from torch.optim import Optimizer

    return Module, LightningDataModule, Optimizer


def _targets(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        full = f"{prefix}.{key}" if prefix else str(key)
        if key == "_target_" or key in INSTRUCTIONS:
            yield full, child
        yield from _targets(child, full)
