"""What makes a run the run that it is: its setting and its seed, by the kinds of the keys, and a hash of them.

Two configurations of one identity are one run. Values are the same where they are equal as numbers, texts, or lists and
groups of these: neither the order of keys counts, nor how a value was written (0.01 or 1e-2). 1 and 1.0 are the same
too, as the keys of a user's own files come back from a run's directory without the type that the file gives them. A key
that is null and one that is absent differ: absent, the constructor's own default holds, which need not be null. So a
key that is added to a file of `conf/` makes other runs even with the default as its value; better one run twice than
two runs taken for one.

R runs.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.config.rules import Kind
from simplenn.config.schema import kind_of
from simplenn.config.values import flat

LENGTH = "-"  # before the number of epochs, in the identity of a run of a sweep that goes over it
ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=str)
DIGITS = 32  # hexadecimal: 128 bits, by which two of a million runs share an identity by chance once in 1e26 sweeps


def identity(cfg: DictConfig) -> str:
    """The same for all configurations of one run. `cfg` is one as `check_config` returns it.

    The length is no part of it: a longer run is the same run, gone on with. But in a sweep that goes over the length,
    the runs of each length are runs of their own, told apart by `with_length`.
    """
    return _hash(_texts(cfg, {Kind.SETTING, Kind.SEED}))


def with_length(own: str, num_epochs: int) -> str:
    """The identity of a run in a sweep that goes over the length; `own` may be one already."""
    return own if LENGTH in own else f"{own}{LENGTH}{num_epochs}"


def without_length(own: str) -> str:
    """What `identity` gives for the run."""
    return own.partition(LENGTH)[0]


def identities(cfg: DictConfig, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """The `identity` of each of R runs whose configurations differ in `columns` alone: R values by full key.

    `cfg` is the configuration of any one of them, and has all these keys; the values are as `check_values` returns
    them. Takes a few microseconds a run.
    """
    return _hashes(cfg, columns, len(next(iter(columns.values()))), {Kind.SETTING, Kind.SEED})


def setting_identities(cfg: DictConfig, columns: Mapping[str, Sequence[Any]], num_runs: int) -> list[str]:
    """The same for those of R runs that have one setting and length, and so repeat each other with other seeds; as
    `identities`, but there may be no columns."""
    return _hashes(cfg, columns, num_runs, {Kind.SETTING, Kind.LENGTH})


def _hashes(cfg: DictConfig, columns: Mapping[str, Sequence[Any]], num_runs: int, kinds: set[Kind]) -> list[str]:
    texts = _texts(cfg, kinds)
    own = {key: [_text(key, value) for value in values] for key, values in columns.items() if kind_of(key) in kinds}
    assert own.keys() <= texts.keys()
    result = []
    for run in range(num_runs):
        texts.update({key: values[run] for key, values in own.items()})
        result.append(_hash(texts))
    return result


def setting(cfg: DictConfig) -> dict[str, Any]:
    """What the run is configured with except its seed and its length, by full key."""
    return {key: value for key, value in flat(cfg).items() if kind_of(key) is Kind.SETTING}


def setting_identity(cfg: DictConfig) -> str:
    """The same for all runs of one setting, whatever their seeds; otherwise as `identity`."""
    return _hash(_texts(cfg, {Kind.SETTING}))


def _texts(cfg: DictConfig, kinds: set[Kind]) -> dict[str, str]:
    """`"key":value` in JSON for each key of these kinds, by the key, in alphabetical order."""
    values: dict[str, Any] = {}
    container: Any = OmegaConf.to_container(cfg, resolve=True)
    for key, value in container.items():  # one level deep only: deeper down, a group without keys would be lost
        values |= {f"{key}.{leaf}": item for leaf, item in value.items()} if isinstance(value, dict) else {key: value}
    return {key: _text(key, values[key]) for key in sorted(values) if kind_of(key) in kinds}


def _text(key: str, value: Any) -> str:
    return f"{ENCODER.encode(key)}:{ENCODER.encode(_plain(value))}"


def _plain(value: Any) -> Any:
    """The value with each number in its only form: 1.0 as 1. The other floats JSON writes by `repr`, to the bit."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _hash(texts: Mapping[str, str]) -> str:
    return sha256(f"{{{','.join(texts.values())}}}".encode()).hexdigest()[:DIGITS]
