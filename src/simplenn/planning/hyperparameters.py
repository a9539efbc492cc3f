"""What tells a run from others, as TensorBoard's HParams page has it. Knows no model and no file.

Shapes: R runs.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from simplenn.config import Kind, kind_of, setting_identities
from simplenn.planning.overrides import Job, plain_values_of

KINDS = (Kind.SETTING, Kind.LENGTH)  # runs of different lengths are no repetitions of each other
USUAL = ("optimizer", "optimizer.lr")  # of a run that was told nothing: without any, the page shows none of its metrics
MACHINERY = "trainer"  # a group whose files differ in what a run trains on
DIGITS = 6  # of the setting's hash in a row's name


def hyperparameters(values: Mapping[str, Any], job: Job, name: str, choices: Mapping[str, str]) -> dict[str, Any]:
    """What the sweep goes over, or of a run alone, what it was told; by full key, without the seed.

    `values` are all of the run's, `job` its overrides, `choices` the files of groups. `name` is its directory's, which
    in a sweep has what is swept: `optimizer=adam,seed=3`; where it has none of that, all that the run was told counts.
    """
    told = {key: text for key, text in plain_values_of(job).items() if kind_of(key) in KINDS}
    swept = [key for key in told if re.search(rf"(?:^|,){re.escape(key)}=", name)]
    keys = swept or [key for key in told if key != MACHINERY] or USUAL
    own = {key: _value(key, values, choices, told) for key in keys}
    return {key: value for key, value in own.items() if value is not None}


def _value(key: str, values: Mapping[str, Any], choices: Mapping[str, str], told: Mapping[str, str]) -> Any:
    if key in values:
        return values[key]
    if choices.get(key) is not None:
        return choices[key]
    target = values.get(f"{key}._target_")
    return told.get(key) if target is None else str(target).rpartition(".")[2]


def row_names(cfg: DictConfig, columns: Mapping[str, Sequence[Any]], hparams: Sequence[Mapping[str, Any]]) -> list[str]:
    """[R]: the name of each run's row on the HParams page, the same for the seeds of one setting and for no other run.

    `columns` are the values in which the runs' configurations differ from `cfg`, `hparams` the runs' hyperparameters.
    """
    settings = setting_identities(cfg, columns, num_runs=len(hparams))
    texts = (",".join(f"{key}={value}" for key, value in own.items()) for own in hparams)
    return [f"{text} #{setting[:DIGITS]}".strip() for text, setting in zip(texts, settings, strict=True)]
