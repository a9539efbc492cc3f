"""Grids of jobs and what plans them, as a command has them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

from conftest import ROOT
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig

from simplenn.command.sweeping import Sweeping
from simplenn.planning.grid import jobs_of
from simplenn.planning.planner import Planner

PARSER = OverridesParser.create()


def grid(*overrides: str, points: int | None = None) -> list[list[str]]:
    """The jobs that a command with these overrides names."""
    return jobs_of(PARSER.parse_overrides(list(overrides)), points)


def fresh(planner: Planner) -> Planner:
    """Another of the same multirun, which has planned nothing yet; it composes no job twice, which takes Hydra long."""
    another = Planner(planner._loader, planner.sweep.copy(), planner._per_run)
    found: dict[tuple[str, ...], DictConfig] = {}

    def compose(job: Sequence[str]) -> DictConfig:
        if tuple(job) not in found:
            found[tuple(job)] = Planner.compose(another, job)
        return deepcopy(found[tuple(job)])

    another.compose = compose
    return another


@contextmanager
def planner_of_a_sweep(*overrides: str) -> Iterator[Planner]:
    """The planner of a multirun of `scripts/train.py`."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        setup_globals()
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)
        sweep.hydra.job.config_name = "train"
        yield Planner(loader, sweep, Sweeping().per_run)
