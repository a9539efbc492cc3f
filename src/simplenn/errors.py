"""What refuses a command. Imports nothing, so that `--help` can answer without the checks."""


class ConfigError(ValueError):
    """A configuration that is refused, in one line: the rule, the value received, the fix."""


class Refused(SystemExit):
    """A command refused before any work, or 1 as its `status` where the system keeps it from working. A `SystemExit`,
    as Hydra only warns of other exceptions in a callback."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(status)
        self.status = status
        self.message = message


class TrainingFailed(RuntimeError):
    """A training that was started from Python and came to no result, in one line."""
