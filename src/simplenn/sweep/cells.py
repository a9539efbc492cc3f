"""Text in a table that a spreadsheet program opens: none of it may run there as a formula."""

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that spreadsheet programs compute
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def harmless(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet program would take it for a formula.

    Numbers stay as they are, -0.5 too: a cell that is nothing but a number runs nothing.
    """
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) and not NUMBER.fullmatch(text) else text
