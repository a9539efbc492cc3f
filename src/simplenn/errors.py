"""What refuses a command. Imports nothing, so that `--help` can answer without the checks."""


class ConfigError(ValueError):
    """A configuration that is refused, in one line: the rule, the value received, the fix."""


class Refused(SystemExit):
    """A command refused before any work. A `SystemExit`, as Hydra only warns of other exceptions in a callback."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message
