"""A configuration held against the table of its keys: types, rules, kinds, and what `_target_` may name. Must not know
how a run is trained. Imports neither torch nor Hydra before a class is asked for.

May import: errors.
"""

from simplenn.config.checking import (
    check_config,
    check_name,
    check_values,
    known_keys,
    root_keys,
    unknown_key,
    unset_keys,
)
from simplenn.config.group_files import GroupFiles
from simplenn.config.identity import (
    identities,
    identity,
    setting,
    setting_identities,
    setting_identity,
    with_length,
    without_length,
)
from simplenn.config.places import place_in_users_code
from simplenn.config.reading import parse_config, parse_plain, read_config, refuse_lookups
from simplenn.config.rules import Kind, refuse_fewer_epochs
from simplenn.config.schema import COMMAND_WIDE, kind_of, known_names
from simplenn.config.suggestions import closest, did_you_mean, distance
from simplenn.config.targets import build, check_targets, combinations, optimizer_factory, try_optimizers
from simplenn.config.values import (
    as_override,
    flat,
    flatten,
    texts,
    values_to_save,
    without_hydra,
)

__all__ = [
    "COMMAND_WIDE",
    "GroupFiles",
    "Kind",
    "as_override",
    "build",
    "check_config",
    "check_name",
    "check_targets",
    "check_values",
    "closest",
    "combinations",
    "did_you_mean",
    "distance",
    "flat",
    "flatten",
    "identities",
    "identity",
    "kind_of",
    "known_keys",
    "known_names",
    "optimizer_factory",
    "parse_config",
    "parse_plain",
    "place_in_users_code",
    "read_config",
    "refuse_fewer_epochs",
    "refuse_lookups",
    "root_keys",
    "setting",
    "setting_identities",
    "setting_identity",
    "texts",
    "try_optimizers",
    "unknown_key",
    "unset_keys",
    "values_to_save",
    "with_length",
    "without_hydra",
    "without_length",
]
