"""What people give in a notebook, checked. Imports no torch."""

from collections.abc import Sequence

from simplenn.errors import ConfigError


def known_checkpoint(which: str) -> str:
    """Raises `ConfigError`."""
    if which not in ("best", "last"):
        raise ConfigError(f"checkpoint must be 'best' or 'last', got {which!r}; try checkpoint='best'")
    return which


def packages(allow: Sequence[str]) -> list[str]:
    """Of one name or several."""
    return [allow] if isinstance(allow, str) else list(allow)
