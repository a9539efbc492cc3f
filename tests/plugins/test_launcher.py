"""The launcher and the sweeper as Hydra plugins: Hydra's own suites, and the plan of a sweep."""

import pytest
from hydra import version
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobRuntime
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

from hydra_plugins.vectorized.dask_launcher import DaskLauncher
from hydra_plugins.vectorized.launcher import Returns, VectorizedLauncher
from hydra_plugins.vectorized.sweeper import VectorizedSweeper

# Hydra's suites call applications without a version_base, of which Hydra itself warns.
pytestmark = pytest.mark.filterwarnings(r"ignore:\s*Future Hydra versions will no longer change working directory")


@pytest.fixture(autouse=True)
def _no_version_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites expect Hydra as it is before an application names its version; other tests here have named it."""
    monkeypatch.setattr(version.VersionBase.instance(), "version_base", version._UNSPECIFIED_)


def test_the_plugins_are_found_by_hydra() -> None:
    """Hydra's own discovery yields them all."""
    launchers = {kind.__name__ for kind in Plugins.instance().discover(Launcher)}
    assert {VectorizedLauncher.__name__, DaskLauncher.__name__} <= launchers
    assert VectorizedSweeper.__name__ in [kind.__name__ for kind in Plugins.instance().discover(Sweeper)]


def test_returns_are_in_the_order_of_the_jobs() -> None:
    """Jobs that trained in stacks and jobs that ran one by one come back as one sequence, in the jobs' order."""
    JobRuntime.instance().set("name", "train")
    alone = JobReturn(overrides=["seed=7"], _return_value=0.7)
    returns = Returns({4: ["seed=4"], 7: ["seed=7"], 9: ["seed=9"]}, {9: 0.9, 4: 0.4}, {7: alone})
    assert [list(found.overrides or []) for found in returns] == [["seed=4"], ["seed=7"], ["seed=9"]]
    assert len(returns) == 3
    assert returns[-1]._return_value == 0.9
    assert returns[1] is alone
    assert [found._return_value for found in returns[:2]] == [0.4, 0.7]
    assert returns.singles == [alone]


@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("vectorized", []), ("vectorized", ["hydra/sweeper=vectorized"])]
)
class TestLauncher(LauncherTestSuite):
    """Hydra's suite for any launcher, under its own sweeper and under ours."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [
        ("vectorized", ["hydra.sweeper.max_batch_size=2"]),
        ("vectorized", ["hydra/sweeper=vectorized", "hydra.sweeper.max_batch_size=2"]),
    ],
)
class TestBatchedSweeper(BatchedSweeperTestSuite):
    """Hydra's suite for sweepers that launch in batches."""


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({}, ["-m", "hydra/launcher=vectorized"]), ({}, ["-m", "hydra/launcher=vectorized", "hydra/sweeper=vectorized"])],
)
class TestIntegration(IntegrationTestSuite):
    """Hydra's suite of whole applications."""
