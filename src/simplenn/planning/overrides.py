"""What the words of a command (`++optimizer.lr=0.1`) say, as far as it takes no grammar. Knows no model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

Job = Sequence[str]


def key_of(word: str) -> str:
    """The key without Hydra's signs (`+`, `++`, `~`), so that it has one spelling."""
    return word.partition("=")[0].strip().lstrip("+~")


def is_hydras(word: str) -> bool:
    """Whether it sets something of Hydra's own, and nothing of the job's."""
    return key_of(word).startswith(("hydra.", "hydra/"))


def values_of(job: Job) -> dict[str, str]:
    """What a job's own keys are set to, as text; by the last word of a key, as Hydra heeds them in turn."""
    return {key_of(word): word.partition("=")[2] for word in job if not is_hydras(word)}


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """The keys that are not the same in all jobs, in alphabetical order."""
    different: dict[str, set[str]] = {}
    for job in jobs:
        for key, text in values_of(job).items():
            different.setdefault(key, set()).add(text)
    return sorted(key for key, texts in different.items() if len(texts) > 1)


def given(config: DictConfig, kind: str = "hydra") -> list[str]:
    """The words that a configuration was composed with, Hydra's own or those of the `task`, as they were typed.

    To read them one by one would resolve what they refer to.
    """
    words: Any = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    return words


def override_dirname(job: Job, settings: Mapping[str, Any]) -> str:
    """`hydra.job.override_dirname` of a job, by `hydra.job.config.override_dirname`: its own overrides in order."""
    excluded = settings["exclude_keys"]
    shown = [word for word in job if not is_hydras(word) and key_of(word).partition("@")[0] not in excluded]
    return settings["item_sep"].join(sorted(shown)).replace("=", settings["kv_sep"])


def quoted(directory: Path, quote: Quote = Quote.single) -> str:
    """The path as a value of Hydra's override grammar, whatever characters are in it."""
    return QuotedString(text=str(directory), quote=quote).with_quotes()
