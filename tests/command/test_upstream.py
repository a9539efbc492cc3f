"""What Hydra, OmegaConf and PyYAML do that no documentation promises. Each test bears the name of what it is about:
where one fails after an upgrade, the function that it calls is the place to mend, or to take out.
"""

import copy
import sys

import pytest
import yaml
from conftest import ROOT, composed
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from simplenn.command.exit_status import keep_one_config_store, read_yaml_by_libyaml
from simplenn.command.refusals import configuration_of, group_set_to_no_choice, key_of_several_values
from simplenn.planning.single_run import config_options


def test_hydras_message_config_group_override() -> None:
    """`optimizer=null` raises a plain ValueError, known by the beginning of its message, from a function that calls
    the override `override`."""
    with pytest.raises(ValueError, match="Config group override") as refusal:
        composed("optimizer=null")
    override = group_set_to_no_choice(refusal.value)
    assert override is not None
    assert override.input_line == "optimizer=null"


def test_hydras_message_ambiguous_value_for_argument() -> None:
    """`optimizer.lr=1,2` without -m names the argument in its message alone."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"), pytest.raises(Exception) as refusal:  # noqa: PT011
        GlobalHydra.instance().config_loader().load_configuration("train", ["optimizer.lr=1,2"], RunMode.RUN)
    assert key_of_several_values(refusal.value) == "optimizer.lr=1,2"


def test_omegaconfs_get_root() -> None:
    """From the node of an error, a private method leads to the whole configuration."""
    with pytest.raises(ConfigCompositionException) as refusal:
        composed("optimizer.lrr=1")
    cause = refusal.value.__cause__
    assert isinstance(cause, OmegaConfBaseException)
    assert cause.full_key == "optimizer.lrr"
    found = configuration_of(cause)
    assert found is not None
    assert found.optimizer.lr == composed().optimizer.lr


def test_hydras_config_store_deepcopy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every composition copies the store with all its schemas. Once it doesn't, `keep_one_config_store` can go."""
    copies = []
    monkeypatch.setattr(ConfigStore, "__deepcopy__", lambda store, memo: copies.append(store) or store, raising=False)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        compose("train")
    assert copies
    keep_one_config_store()
    assert copy.deepcopy(ConfigStore.instance()) is ConfigStore.instance()
    composed()


def test_omegaconfs_loader_derives_from_yaml_safe_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is when a file is read, so that libyaml's can take its place."""
    monkeypatch.setattr(yaml, "SafeLoader", yaml.SafeLoader)  # and back again
    read_yaml_by_libyaml()
    assert yaml.SafeLoader is yaml.CSafeLoader
    assert issubclass(get_yaml_loader(), yaml.CSafeLoader)
    assert OmegaConf.create("a: [1, 0.5, 1e-3, x]") == {"a": [1, 0.5, 0.001, "x"]}


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["-m", "seed=1,2", "--config-dir", "own"], ["--config-dir=own"]),
        (
            ["-cd", "own", "-cn", "other", "seed=1", "-cp=here"],
            ["--config-path=here", "--config-name=other", "--config-dir=own"],
        ),
        (["optimizer=adam", "+x=--config-dir"], []),
    ],
)
def test_hydras_options_for_its_files_are_understood_as_hydra_does(
    arguments: list[str], options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's own parser is private, and reads the same from a command."""
    from hydra._internal.utils import get_args_parser

    assert config_options(arguments) == options
    monkeypatch.setattr(sys, "argv", ["train.py"])
    parsed = vars(get_args_parser().parse_args(arguments))
    names = ("config_path", "config_name", "config_dir")
    assert options == [f"--{name.replace('_', '-')}={parsed[name]}" for name in names if parsed[name] is not None]
