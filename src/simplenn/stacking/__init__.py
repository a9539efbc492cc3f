"""Many runs of one configuration, trained at once along a leading axis. Knows torch and Lightning, not files."""

from simplenn.stacking.outcome import Outcome, Snapshot

__all__ = ["Outcome", "Snapshot"]
