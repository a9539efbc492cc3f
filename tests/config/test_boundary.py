"""What a configuration from elsewhere may do: name values, and classes of this project's use."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from conftest import composed
from omegaconf import OmegaConf

from simplenn.config import check_config, check_targets, read_config, refuse_lookups
from simplenn.errors import ConfigError
from simplenn.rundir.run import Run


def names_of(package: str) -> set[str]:
    """Every class that is reached by a public name in a package or its modules."""
    root = importlib.import_module(package)
    modules = [package]
    if hasattr(root, "__path__"):
        modules += [found.name for found in pkgutil.walk_packages(root.__path__, f"{package}.", onerror=lambda _: None)]
    names = set()
    for module in modules:
        try:
            members = vars(importlib.import_module(module))
        except Exception:  # what needs a package that isn't here
            continue
        names |= {f"{module}.{name}" for name, member in list(members.items()) if isinstance(member, type)}
    return names


def passes(name: str) -> bool:
    try:
        check_targets({"model": {"_target_": name}})
    except ConfigError:
        return False
    from simplenn.config.targets import is_plain_class

    return is_plain_class(pkgutil.resolve_name(name))


@pytest.mark.parametrize(
    ("package", "some"),
    [
        ("torch.nn", "torch.nn.Linear"),
        ("torch.optim", "torch.optim.AdamW"),
        ("torch.utils.data", ""),
        ("lightning.pytorch.demos", ""),
        ("lightning.pytorch.core", ""),
        ("simplenn", "simplenn.data.SumDataModule"),
    ],
)
def test_only_classes_of_this_projects_use_pass(package: str, some: str) -> None:
    """Of all classes of these packages: a plain module, an optimizer, a network or data module of simplenn's."""
    from lightning.pytorch import LightningDataModule
    from torch import nn, optim

    names = {name for name in names_of(package) if passes(name)}
    assert some in names if some else not names
    for name in names:
        found = pkgutil.resolve_name(name)
        home = found.__module__
        assert (
            (issubclass(found, nn.Module) and home.startswith("torch.nn.modules."))
            or (issubclass(found, optim.Optimizer) and f"{home}.".startswith("torch.optim."))
            or (issubclass(found, nn.Module | LightningDataModule) and home in ("simplenn.network", "simplenn.data"))
        ), name
        assert not {"quantized", "parametrizations", "hub"} & set(name.split("."))


@pytest.mark.parametrize(
    "target",
    [
        "lightning.pytorch.demos.mnist_datamodule.MNISTDataModule",
        "lightning.pytorch.demos.boring_classes.BoringDataModule",
        "torch.utils.data.DataLoader",
        "torch.hub.load",
        "torch.nn.DataParallel.x",
        "simplenn.rank.os.system",
        "simplenn.network",
    ],
)
def test_another_class_needs_allow(target: str) -> None:
    """Lightning's demo of MNIST downloads, and loads pickles."""
    with pytest.raises(ConfigError, match=r"data\._target_ must name a class in torch\.nn, torch\.optim, simplenn"):
        check_targets({"data": {"_target_": target}})
    check_targets({"data": {"_target_": target + ".X"}}, [target.split(".")[0]])


@pytest.mark.parametrize("key", ["_partial_", "_recursive_", "_convert_"])
def test_what_hydra_does_with_a_target_is_not_configurable(key: str) -> None:
    layers = [{"_target_": "torch.nn.Linear", key: True}]
    with pytest.raises(ConfigError, match=rf"model\._args_\.0\.{key} must not be given"):
        check_targets({"model": {"_target_": "torch.nn.Sequential", "_args_": layers}})


SECRET = "top secret"


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:SIMPLENN_SECRET}",
        "x${oc.env:SIMPLENN_SECRET,none}",
        "${oc.decode:'${a}${b}'}",
        "${oc.${seed}:SIMPLENN_SECRET}",
        "${oc.select:seed,${oc.env:SIMPLENN_SECRET}}",
        "${ oc.env:SIMPLENN_SECRET}",
        "${now:%Y}",
        "${hydra:runtime.cwd}",
    ],
)
def test_a_file_read_back_looks_nothing_up(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names key and file, and not what would have been found."""
    monkeypatch.setenv("SIMPLENN_SECRET", SECRET)
    (tmp_path / ".hydra").mkdir()
    path = tmp_path / ".hydra" / "config.yaml"
    OmegaConf.save(OmegaConf.create({"seed": 1, "data": {"path": [value]}}), path)
    with pytest.raises(ConfigError) as refusal:
        _ = Run(tmp_path).config
    assert f"data.path.0 in {path} must refer to keys alone" in str(refusal.value)
    assert SECRET not in str(refusal.value) and "\n" not in str(refusal.value)
    with pytest.raises(ConfigError, match="0 in overrides"):
        refuse_lookups([f"data.path={value}"], "overrides")


def test_references_to_a_files_own_keys_are_read() -> None:
    refuse_lookups({"a": "${data.num_features}", "b": ["${.c}", "${oc.select:a,1}", "${a[0]}"]}, "file")


BOMB = "a: &a [1,1,1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "without YAML's anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "without YAML's tags"),
        ("a: " + "[" * 1000 + "]" * 1000, "at most 20 levels"),
        ("a: " + "x" * 2**20, "at most 1048576 bytes"),
        ("- 1\n", "a group of keys"),
        ("", "a group of keys"),
        ("a: [\n", "can't be read"),
        ("a: \xff\0", "can't be read"),
    ],
)
def test_a_file_that_is_no_plain_configuration_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """In one line, at once: ten lines of aliases would stand for a billion values."""
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message) as refusal:
        read_config(path)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value) and len(str(refusal.value)) < 500


def test_hydras_own_node_in_a_file_read_back_makes_nothing() -> None:
    """It isn't a key of a run's configuration; nothing composes or instantiates it."""
    cfg: Any = OmegaConf.to_container(composed())
    node = {"hydra": {"callbacks": {"x": {"_target_": "os.system", "command": "true"}}}}
    with pytest.raises(ConfigError, match="hydra is not a key of the configuration"):
        check_config(OmegaConf.create({**cfg, **node}))


@pytest.mark.parametrize("key", ["logger", "callbacks", "plugins", "profiler", "default_root_dir"])
def test_what_the_run_gives_the_trainer_itself_is_refused(key: str) -> None:
    cfg = composed(f"+trainer.{key}=x")
    with pytest.raises(ConfigError, match=rf"trainer\.{key} must not be given"):
        check_config(cfg)


@pytest.mark.parametrize(
    "override",
    [
        "data.num_train=1000000000000",
        "data.num_val=1000000000000",
        "data.num_test=1000000000000",
        "data.num_features=1000000000000",
        "model.hidden=1000000000000",
        "data.batch_size=100000000000000000000",
        "trainer.max_epochs=100000000000000000000",
    ],
)
def test_a_size_that_no_machine_holds_is_refused(override: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(ConfigError, match=f"{key} must (leave room|be at most)") as refusal:
        check_config(composed(override))
    assert "\n" not in str(refusal.value)
