"""Sizes that no machine could hold: refused before torch tries to allocate them, or the system ends the process."""

import os
from collections.abc import Mapping
from typing import Any

from simplenn.errors import ConfigError

NUMBER = 4  # bytes, in single precision
MOST = 2**53  # the largest count that a 64-bit float, as figures and tables have it, tells from its neighbours


def check_sizes(group: str, section: Mapping[str, Any]) -> None:
    """Raises `ConfigError` where a group's data or weights would take more than this machine's memory.

    `section` are the group's values, each of its key's type already.
    """
    for key, value in section.items():
        if isinstance(value, int) and abs(value) > MOST:
            raise ConfigError(f"{group}.{key} must be at most {MOST}, got {value}; try a smaller number")
    if "num_features" not in section:
        return
    features = section["num_features"]
    if group == "data":
        counts = {key: section[key] for key in ("num_train", "num_val", "num_test") if section.get(key)}
        _refuse(group, counts, sum(counts.values()) + counts.get("num_test", 0), features + 1)
    elif "hidden" in section:
        _refuse(group, {"hidden": section["hidden"]}, section["hidden"], features + 2)


def _refuse(group: str, counts: dict[str, int], rows: int, columns: int) -> None:
    needed, memory = rows * columns * NUMBER, _memory()
    if needed > memory:
        key = max(counts, key=lambda name: counts[name])
        if columns > counts[key]:
            key, value = "num_features", columns
        else:
            value = counts[key]
        raise ConfigError(
            f"{group}.{key} must leave room in this machine's memory of {memory / 2**30:.0f} GiB, got {value}, with "
            f"which {group} takes {needed / 2**30:.3g} GiB; try {group}.{key}={max(1, value * memory // needed // 4)}"
        )


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # where the system doesn't say
        return 2**40
