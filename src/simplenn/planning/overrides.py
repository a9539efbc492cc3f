"""What the overrides of a command (`++optimizer.lr=0.1`) say, as far as that takes none of Hydra's grammar."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from simplenn.config import Kind, check_name, flatten, kind_of
from simplenn.errors import ConfigError
from simplenn.rundir import shown

Job = Sequence[str]  # the overrides of one job of a sweep
CACHED = 2**16  # overrides; the jobs of a grid share theirs


@lru_cache(CACHED)
def key_of(override: str) -> str:
    """The key without Hydra's signs (`+`, `++`, `~`), so that it has one spelling."""
    return override.partition("=")[0].strip().lstrip("+~")


@lru_cache(CACHED)
def is_for_hydra(override: str) -> bool:
    """Whether it sets something of Hydra's own, and nothing of the job's."""
    return key_of(override).startswith(("hydra.", "hydra/"))


def values_of(job: Job) -> dict[str, str]:
    """What a job's own keys are set to, as text. Of several overrides of a key the last counts, as for Hydra."""
    return dict(pair for override in job if (pair := _own(override)) is not None)


@lru_cache(CACHED)
def _own(override: str) -> tuple[str, str] | None:
    """Key and text of an override of the job's own; `None` for one that is for Hydra."""
    return None if is_for_hydra(override) else (key_of(override), override.partition("=")[2])


def plain_values_of(job: Job) -> dict[str, str]:
    """As `values_of`, of a text in Hydra's quotes what is between them: for people, and not for Hydra."""
    return {key: unquoted(text) for key, text in values_of(job).items()}


def unquoted(text: str) -> str:
    quote = text[:1]
    if len(text) < 2 or quote not in "'\"" or not text.endswith(quote):
        return text
    return text[1:-1].replace(f"\\{quote}", quote)


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """The keys that are not the same in all jobs, in alphabetical order; what only a command does is none of them."""
    different: dict[str, set[str]] = {}
    for job in jobs:
        for key, text in values_of(job).items():
            different.setdefault(key, set()).add(text)
    return sorted(key for key, texts in different.items() if len(texts) > 1 and kind_of(key) is not Kind.COMMAND)


def overrides_given(config: DictConfig, kind: str = "hydra") -> list[str]:
    """The overrides that a configuration was composed with, Hydra's own or those of the `task`, as they were typed."""
    # not by iterating over the node, which would resolve interpolations in it
    overrides: Any = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    return overrides


def overrides_of(params: Mapping[str, Any]) -> list[str]:
    """What `hydra.sweeper.params` say, as overrides. A command nests them: +hydra.sweeper.params.optimizer.lr="1,2"."""
    plain: Any = OmegaConf.to_container(OmegaConf.create(dict(params)))
    return [f"{key}={value}" for key, value in flatten(plain).items()]


def override_dirname(job: Job, settings: Mapping[str, Any]) -> str:
    """`hydra.job.override_dirname` of a job, by `hydra.job.config.override_dirname`."""
    excluded = settings["exclude_keys"]
    kept = [o for o in job if not is_for_hydra(o) and key_of(o).partition("@")[0] not in excluded]
    return settings["item_sep"].join(sorted(kept)).replace("=", settings["kv_sep"])


def as_text(text: str) -> str:
    """A text as a value of Hydra's override grammar, whatever characters are in it: in quotes where it would be read as
    something else without them, or not at all."""
    try:
        read = OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:
        read = None
    # double ones: the shell's own are single
    return text if read == text else QuotedString(text=text, quote=Quote.double).with_quotes()


def naming(directory: Path, kind: str) -> str:
    """The override by which a command means this directory of a `run` or a `sweep`, from where this process is: `name`,
    or where it hasn't the usual place or a name that is allowed, Hydra's own key."""
    place = Path(shown(directory))
    is_usual = place.parent.as_posix() == f"outputs/{kind}s" and _is_name(place.name)
    return f"name={as_text(place.name)}" if is_usual else f"hydra.{kind}.dir={as_text(str(place))}"


def _is_name(text: str) -> bool:
    try:
        check_name(text)
    except ConfigError:
        return False
    return True
