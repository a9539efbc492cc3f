"""Run directories written from the sweep's parts, long after the sweep."""

from collections.abc import Sequence
from pathlib import Path

import polars

from simplenn.errors import ConfigError
from simplenn.setup import build_run
from simplenn.sweep.all_runs import all_runs
from simplenn.sweep.parts import find_parts, read_group
from simplenn.sweep.run_files.directories import write_directories


def extract(
    sweep: Path, names: Sequence[str], allow: Sequence[str] = (), runs: polars.DataFrame | None = None
) -> dict[Path, bool]:
    """The directories of these runs, and of each whether it was written now or was there already.

    `runs` is the sweep's `all_runs`, where the caller has it. `allow` names packages that the configurations may use
    beside the usual ones; what the sweep itself says about that doesn't count. Raises `ConfigError` where the sweep's
    files are missing or damaged.
    """
    runs = (all_runs(sweep) if runs is None else runs).filter(polars.col("run").is_in(list(names)))
    parts = {part.number: part for part in find_parts(sweep)}
    directories = {}
    for (number,), own in runs.filter(polars.col("part").is_not_null()).group_by("part", maintain_order=True):
        group = read_group(parts[int(str(number))], own["row"].to_list())
        cfg = group.cfg.copy()
        cfg.allow = list(allow)
        new = write_directories(group, sweep, *build_run(cfg), all_figures=True)
        directories |= {
            name: (sweep / sub, flag) for name, sub, flag in zip(group.names, group.subdirs, new, strict=True)
        }
    alone = runs.filter(polars.col("part").is_null())
    directories |= {name: (sweep / sub, False) for name, sub in alone.select("run", "subdir").iter_rows()}
    if lost := [name for name in names if name not in directories]:
        raise ConfigError(f"{lost[0]} is not a run of {sweep} that is in a part or has a directory; train it anew")
    return dict(directories[name] for name in names)
