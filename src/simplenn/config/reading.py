"""A configuration read back from a file that may be a stranger's: it names values, and neither runs nor looks up any.

A user's own command line and `conf/` may use each of OmegaConf's resolvers. A file that is read back may refer to its
own keys alone: a resolver such as `oc.env` would put a secret of this machine into what is printed or written.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from simplenn.errors import ConfigError

MOST_BYTES = 2**20  # a run's configuration has about 1,000
MOST_LEVELS = 20
# Each `${` must begin one of these. What a resolver is called may itself be put together from references, so that
# only what is harmless is listed: `oc.decode` and `oc.create` resolve what a text that they are given refers to.
PLAIN = re.compile(r"\$\{\s*(?:\.*[A-Za-z_][\w.\[\]-]*\s*\}|oc\.select\s*:)")


def read_config(path: Path) -> DictConfig:
    """The mapping in a file of YAML. Raises `FileNotFoundError`, and `ConfigError` for what isn't a plain one.

    Refused are a file above 1 MiB, aliases (ten lines of them stand for a billion values), tags, groups nested
    deeper than 20 levels, and references to anything but the file's own keys. None of these is resolved or printed.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ConfigError(f"{path} must hold a configuration, but can't be read: {error}") from error
    return parse_config(text, path)


def parse_config(text: str, path: Path | str) -> DictConfig:
    """As `read_config`, of the text that a file has."""
    config = _read(text, path, MOST_BYTES, OmegaConf.create)
    if not isinstance(config, DictConfig) or not text.strip():
        raise ConfigError(f"{path} must hold a configuration, a group of keys, and holds something else")
    refuse_lookups(OmegaConf.to_container(config, resolve=False), path)
    return config


def parse_plain(text: str, path: Path | str, most_bytes: int = MOST_BYTES) -> Any:
    """The content of a file of YAML, nothing of which is resolved. Raises `ConfigError` for the tricks that
    `read_config` refuses."""
    return _read(text, path, most_bytes, lambda sound: yaml.load(sound, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _read(text: str, path: Path | str, most_bytes: int, parse: Callable[[str], Any]) -> Any:
    try:
        if len(text.encode()) > most_bytes:
            raise ConfigError(f"{path} must hold a configuration of at most {most_bytes} bytes, and is larger")
        _refuse_tricks(text, path)
        return parse(text)
    except ConfigError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} must hold a configuration, but can't be read: {reason:.200}") from error


def refuse_lookups(node: Any, source: Path | str) -> None:
    """Raises `ConfigError`, naming the key and the source, for a text in it that refers to more than a key.

    `node` is a configuration's plain container, or a list of overrides.
    """
    for key, text in _texts(node):
        if any(PLAIN.match(text, found.start()) is None for found in re.finditer(r"\$\{", text)):
            raise ConfigError(
                f"{key} in {source} must refer to keys alone, and looks up something of this machine; "
                "put the value itself in its place if the file is yours"
            )


def _refuse_tricks(text: str, path: Path | str) -> None:
    level = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(f"{path} must hold a configuration without YAML's anchors and aliases, and has them")
        if getattr(event, "tag", None):
            raise ConfigError(f"{path} must hold a configuration without YAML's tags, got {event.tag:.60}")
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise ConfigError(f"{path} must hold at most {MOST_LEVELS} levels of groups, and has more")


def _texts(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each text with its full key; keys are texts, too."""
    if isinstance(node, str):
        yield prefix, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        full = f"{prefix}.{key}" if prefix else str(key)
        yield full.partition("$")[0] or "a key", str(key)
        yield from _texts(child, full)
