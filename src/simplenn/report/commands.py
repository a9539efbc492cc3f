"""The commands that a report gives to people: to train a run alone, to write its directory, to add seeds, to go on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from simplenn.errors import ConfigError
from simplenn.planning import arguments
from simplenn.report.study import Study
from simplenn.rundir import shown
from simplenn.scripts import script_command
from simplenn.sweep.all_runs import overrides_of
from simplenn.sweep.multirun import read_multirun, resume_command, trusted_packages

NUM_SEEDS = 20  # that are proposed


class Commands:
    """`sweep` is the configuration of the command that trained the study's only sweep, where it is this process's;
    otherwise each sweep's multirun.yaml says it."""

    def __init__(self, study: Study, sweep: DictConfig | None = None) -> None:
        self._study = study
        self._sweep = sweep

    def alone(self, run: str, sweep: int) -> str | None:
        """Trains the run by itself; `None` where the sweep doesn't say how it was told."""
        place = self._place(run, sweep)
        directory = self._study.sweeps[sweep]
        config = self._sweep if self._sweep is not None else _multirun(directory)
        if config is None or (place["part"] is None and not (directory / place["subdir"] / ".hydra").is_dir()):
            return None
        given = overrides_of(directory, place)
        words = arguments(config, given, None if self._sweep is not None else [])
        return script_command("train.py", *words)

    def extract(self, runs: Sequence[str], sweep: int) -> str | None:
        """Writes the runs' directories; `None` where there is nothing to write them from."""
        directory = self._study.sweeps[sweep]
        places = [self._place(run, sweep) for run in runs]
        if not all(place["part"] is not None or (directory / place["subdir"]).is_dir() for place in places):
            return None
        names = list(dict.fromkeys(runs))
        trusted = [word for package in trusted_packages(directory) for word in ("--allow", package)]
        return script_command("extract.py", shown(directory), *names, *trusted)

    def go_on(self, sweep: int, *words: str) -> str:
        """Gives the sweep's last command again, with these words in place of its own."""
        return resume_command(self._study.sweeps[sweep], *words)

    def add_seeds(self) -> list[str]:
        """Of each sweep that has runs of the best setting, for twice as many seeds as it has of them."""
        best = self._study.settings["setting"][0]
        own = self._study.places.filter(self._study.runs["setting"] == best)["sweep"]
        counts = dict(own.value_counts().sort("sweep").iter_rows())
        return [
            self.go_on(sweep, f"seed=range({max(NUM_SEEDS, 2 * count)})")
            for sweep, count in counts.items()
            if _multirun(self._study.sweeps[sweep]) is not None
        ]

    def has_directory(self, run: str, sweep: int) -> bool:
        return (self._study.sweeps[sweep] / self._place(run, sweep)["subdir"] / ".hydra").is_dir()

    def _place(self, run: str, sweep: int) -> dict[str, Any]:
        places = self._study.places
        (row, *_) = ((self._study.runs["run"] == run) & (places["sweep"] == sweep)).arg_true()
        return places.row(row, named=True)


def _multirun(directory: Path) -> DictConfig | None:
    """`None` where there is none, or a damaged one: the numbers can be told all the same."""
    try:
        content = read_multirun(directory)
    except ConfigError:
        return None
    return OmegaConf.create(content) if "hydra" in content else None
