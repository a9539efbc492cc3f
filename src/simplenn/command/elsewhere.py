"""The cluster that trains a sweep's runs in place of the command's own process, from its check to its end. Imports Dask
only to connect."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from simplenn.cluster import Settings, check_settings, gpus_for
from simplenn.command.failures import Failures, Stopped
from simplenn.command.prepared_group import PreparedGroup
from simplenn.errors import ConfigError
from simplenn.groups import RunGroup

if TYPE_CHECKING:
    from simplenn.cluster.connection import Connection
    from simplenn.command.distributing import Distribution
    from simplenn.rundir import Result

log = logging.getLogger(__name__)


class Elsewhere:
    """`launcher` are the keys of the launcher."""

    def __init__(self, launcher: Mapping[str, Any]) -> None:
        self._keys = launcher
        self._settings: Settings | None = None
        self._connection: Connection | None = None
        self._distribution: Distribution | None = None  # of the launch that is being trained

    def check(self) -> None:
        """Raises `ConfigError`."""
        self._settings = check_settings(self._keys)

    def connect(self, sweep: DictConfig, groups: Iterable[RunGroup]) -> None:
        """Raises `ConfigError` where there is no cluster, or one whose workers aren't as this command is."""
        if self._connection is not None:
            return
        from simplenn.cluster.connection import connect
        from simplenn.cluster.working import versions

        assert self._settings is not None
        if self._settings.is_local:
            self._settings = replace(self._settings, gpus=gpus_for(group.cfg for group in groups))
        self._connection = connect(self._settings)
        try:
            self._connection.refuse_differences(versions())
            self._connection.warm_up()
        except BaseException:
            self.close()
            raise
        if (dashboard := self._connection.dashboard) and not sweep.quiet:
            log.info("dashboard: %s", dashboard)

    def train(
        self,
        prepared: Sequence[PreparedGroup],
        sweep: DictConfig,
        progress: Any,
        failures: Failures,
        run_single: Callable[[int], Any],
    ) -> tuple[dict[int, float], dict[int, Any]]:
        """See `Distribution.train`. Raises `Stopped`, too, where the cluster is lost or a worker isn't as this command
        is."""
        from simplenn.cluster.dispatch import ClusterLost
        from simplenn.command.distributing import Distribution

        assert self._connection is not None and self._settings is not None
        settings = self._settings
        threads = settings.local_workers_and_threads[1] if settings.is_local else settings.threads
        directory = Path(sweep.hydra.sweep.dir)
        distribution = Distribution(self._connection, threads, directory, progress, failures, run_single)
        self._distribution = distribution
        try:
            return distribution.train(prepared)
        except ClusterLost as error:
            raise Stopped(f"{error}; the command that goes on trains what is left") from error
        except ConfigError as error:
            raise Stopped(str(error)) from error

    def single(self, cfg: DictConfig, directory: Path) -> "Result | None":
        """See `Distribution.single`."""
        assert self._distribution is not None
        return self._distribution.single(cfg, directory)

    def close(self) -> None:
        """Ends the workers that are this command's own."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
