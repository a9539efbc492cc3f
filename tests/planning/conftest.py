"""The planner that tests of a plan share."""

from collections.abc import Iterator

import pytest
from grids import fresh, planner_of_a_sweep

from simplenn.planning.planner import Planner


@pytest.fixture(scope="module")
def planner_of_all() -> Iterator[Planner]:
    with planner_of_a_sweep() as planner:
        yield planner


@pytest.fixture
def planner(planner_of_all: Planner) -> Planner:
    return fresh(planner_of_all)
