"""The exceptions that carry a reason, in a few words, for a line of the log."""


class NotStackable(RuntimeError):
    """A stack can't do what these runs do; the message says what that is. The runs then train one by one."""


class CannotCompile(RuntimeError):
    """The compiled mode can't train this stack; the message says why. The stack then trains without it."""
