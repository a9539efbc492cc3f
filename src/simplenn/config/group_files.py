"""Each config group's own file as it is before any override."""

from collections.abc import Iterator, Mapping
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from simplenn.config.checking import GROUPS


class GroupFiles(Mapping[str, DictConfig]):
    """The files that a composed configuration has chosen; one is read only where it is asked for."""

    def __init__(self, config: DictConfig) -> None:
        self._choices = {group: config.hydra.runtime.choices.get(group) for group in GROUPS}

    def __getitem__(self, group: str) -> DictConfig:
        choice = self._choices[group]
        return _group_file(group, choice) if choice else OmegaConf.create({})

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)


def _group_file(group: str, choice: str) -> DictConfig:
    loader: Any = GlobalHydra.instance().config_loader()
    result = loader.repository.load_config(f"{group}/{choice}")
    if result is None:
        return OmegaConf.create({})
    bases = [entry.path for entry in result.defaults_list or [] if getattr(entry, "path", "_self_") != "_self_"]
    merged = OmegaConf.merge(*(_group_file(group, base) for base in bases), result.config)
    assert isinstance(merged, DictConfig)
    return merged
