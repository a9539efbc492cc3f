"""The directory that this process's command works in, for whoever has started the process and wants to know."""

from pathlib import Path

directories: dict[str, Path] = {}  # by kind, `run` or `sweep`, as soon as the command has passed its checks
