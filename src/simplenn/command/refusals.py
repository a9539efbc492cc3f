"""Which errors a user or the system has caused, and the one line that tells each. All others are ours.

Hydra says some things in messages alone, and OmegaConf's errors lead to the configuration by a private method: each of
these is read by one function here, and `tests/command/test_upstream.py` has a test for each.
"""

import errno
import re
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

import hydra
import yaml
from hydra.core.override_parser.types import Override
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import (
    GrammarParseError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

import simplenn
from simplenn.command.command_line import unreadable
from simplenn.errors import ConfigError
from simplenn.rundir import Unwritable

# Hydra wraps what OmegaConf raises for an override. Unwrapped, a value that can't be resolved is the user's as well,
# but not a key that isn't there, as then code of ours has asked for it.
CONFIGURATION_ERRORS = (
    HydraException,
    InterpolationResolutionError,
    MissingMandatoryValue,
    GrammarParseError,
    yaml.YAMLError,
)
# What the system says of a disk or of rights, wherever Hydra, OmegaConf or we write.
SYSTEM_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
PACKAGE = Path(simplenn.__path__[0])
HYDRAS_FOLDER = str(Path(hydra.__path__[0]) / "_internal")
OUR_FOLDERS = (str(PACKAGE), str(PACKAGE.with_name("hydra_plugins")))


def is_the_users(error: BaseException) -> bool:
    """Whether the command's words, its files or the configuration are to be blamed, and so the command refused."""
    if isinstance(error, ConfigError):
        return True
    is_refusal = isinstance(error, CONFIGURATION_ERRORS) or is_plain_refusal_of_hydras(error)
    return is_refusal and not any(map(_is_ours, _causes(error)))


def is_the_systems(error: BaseException) -> bool:
    """Whether the system has no room or gives no right to write or read a file."""
    return isinstance(error, Unwritable) or (isinstance(error, OSError) and error.errno in SYSTEM_ERRORS)


def in_one_line(error: BaseException) -> str:
    """What an error of the user's or the system's says."""
    cause = error.__cause__
    if isinstance(error, OverrideParseException):
        return unreadable(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        from simplenn.config import closest

        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        options = sorted(error.options)
        hint = "".join(f"; try {group}={near}" for near in closest(choice, options))
        return f"{group} must be one of {', '.join(options)}, got {choice!r}{hint}"
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        key, composed = str(cause.full_key or ""), configuration_of(cause)
        if not key or key.startswith("hydra.") or not composed:
            said = " ".join(str(error).split()) or "the configuration can't be read"
            return f"{said}: {str(cause).splitlines()[0]}"
        from simplenn.config import known_keys, unknown_key, unset_keys

        return str(unknown_key(key, known_keys(composed), unset_keys(composed)))
    if key := key_of_several_values(error):
        return f"{key} is more than one value; add -m to train a run for each"
    if override := group_set_to_no_choice(error):
        group, value = override.key_or_group, override.get_value_element_as_str()
        return f"{group} must be one of the files of its group, got {value}; train.py --help lists them"
    return " ".join(str(error).split())


def is_plain_refusal_of_hydras(error: BaseException) -> bool:
    """Whether Hydra itself has raised it and means the user, as by the plain `ValueError` for `-m --cfg job`."""
    frames = _frames(error)
    return type(error) is ValueError and bool(frames) and frames[-1].f_code.co_filename.startswith(HYDRAS_FOLDER)


def group_set_to_no_choice(error: BaseException) -> Override | None:
    """The override of which Hydra says that it sets a group to what can't be the name of one's file, as
    `optimizer=null`: its message has neither key nor value, but the function that raises has."""
    if not (is_plain_refusal_of_hydras(error) and str(error).startswith("Config group override")):
        return None
    return _frames(error)[-1].f_locals["override"]


def key_of_several_values(error: BaseException) -> str | None:
    """The key of `optimizer.lr=1,2` in a command without -m, as Hydra's message names it."""
    found = re.match("Ambiguous value for argument '(.*?)'\n", str(error))
    return found and found[1]


def configuration_of(error: OmegaConfBaseException) -> DictConfig | None:
    """The whole configuration that an error of OmegaConf's arose in. No public method leads there from its node."""
    node: Any = error.parent_node
    root = None if node is None else node._get_root()
    return root if isinstance(root, DictConfig) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    while error.__cause__ is not None:
        yield (error := error.__cause__)


def _is_ours(cause: BaseException) -> bool:
    """Whether it arose in our own code, as where Hydra can't import or make a class of ours that has a mistake."""
    files = [frame.f_code.co_filename for frame in _frames(cause)]
    return not is_the_users(cause) and any(file.startswith(OUR_FOLDERS) for file in files)


def _frames(error: BaseException) -> list[FrameType]:
    """Those that it has come through, the one that raised it last."""
    return [frame for frame, _ in walk_tb(error.__traceback__)]
