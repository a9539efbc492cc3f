"""Run directories written from the sweep's files, long after the sweep."""

from collections.abc import Sequence
from pathlib import Path

from simplenn.errors import ConfigError
from simplenn.setup import build_run
from simplenn.sweep.run_files.directories import write_directories
from simplenn.sweep.store import read_groups


def extract(sweep: Path, names: Sequence[str], allow: Sequence[str] = ()) -> dict[Path, bool]:
    """The directories of these runs, and of each whether it was written now or was there already.

    `allow` names packages that the configurations may use beside the usual ones; what the sweep itself says about
    that doesn't count. Raises `ConfigError` where the sweep's files are missing or damaged.
    """
    directories = {}
    for group in read_groups(sweep, names):
        cfg = group.cfg.copy()
        cfg.allow = list(allow)
        new = write_directories(group, sweep, *build_run(cfg))
        directories |= {
            name: (sweep / sub, flag) for name, sub, flag in zip(group.names, group.subdirs, new, strict=True)
        }
    for name in names:
        own = next((path for path in (sweep / "runs" / name, sweep / name) if path.is_dir()), sweep / "runs" / name)
        if name not in directories and own.is_dir():  # trained alone, there from the start
            directories[name] = own, False
        elif name not in directories:
            raise ConfigError(f"{name} trained in a directory of its own, {own}, which is gone; train it anew")
    return dict(directories[name] for name in names)
