"""Each config group's own file as it is before any override."""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config.checking import GROUPS


class GroupFiles(Mapping[str, DictConfig]):
    """The files that a composed configuration has chosen, each with those that it builds on; read where asked for."""

    def __init__(self, config: DictConfig) -> None:
        self._choices = {group: config.hydra.runtime.choices.get(group) for group in GROUPS}
        self._files: dict[str, DictConfig] = {}

    def __getitem__(self, group: str) -> DictConfig:
        if group not in self._files:
            choice = self._choices[group]
            self._files[group] = _merged(group, choice) if choice else OmegaConf.create({})
        return self._files[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)


def _merged(group: str, choice: str) -> DictConfig:
    file = _read(f"{group}/{choice}")
    values: Any = OmegaConf.to_container(file, resolve=False)
    # An entry that is a word names a file of the same group to build on. This file comes after those, wherever
    # `_self_` stands: only the keys and the types of their values matter here.
    bases = [entry for entry in values.get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    own = OmegaConf.masked_copy(file, [str(key) for key in file if key != "defaults"])
    merged = OmegaConf.merge(*(_merged(group, base) for base in bases), own)
    assert isinstance(merged, DictConfig)
    return merged


def _read(path: str) -> DictConfig:
    """The first file of this name on Hydra's search path, without its `.yaml`; an empty one where there is none."""
    from hydra.core.global_hydra import GlobalHydra

    for source in GlobalHydra.instance().config_loader().get_sources():
        if source.is_config(path):
            config: Any = source.load_config(path).config
            return config
    return OmegaConf.create({})
