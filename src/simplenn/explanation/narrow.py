"""The explanation's tables on a terminal that has no room for them."""

from collections.abc import Iterator

from rich.table import Column, Table

FEWEST_COLUMNS = 2  # what a row is of, and a number


def fitted(piece: str | Table, width: int) -> Iterator[str | Table]:
    """A paragraph, or a table for a terminal of so many columns: where that is too narrow for its words, it is changed
    to have no space beside them, then to be without its last columns, as many as it takes, and a line says which."""
    left_out: list[str] = []
    if isinstance(piece, Table) and _least_width(piece) > width:
        piece.padding = 0
        while _least_width(piece) > width and len(piece.columns) > FEWEST_COLUMNS:
            left_out.insert(0, " ".join(str(piece.columns.pop().header).split()))
    yield piece
    if left_out:
        yield f"Left out, for want of room: {', '.join(left_out)}."


def _least_width(table: Table) -> int:
    """That in which no word is broken, with a line before each column and behind the last."""
    _, right, _, left = table.padding
    return sum(_longest(column) + left + right + 1 for column in table.columns) + 1


def _longest(column: Column) -> int:
    """Of the words of a column, or where it isn't to be wrapped, of its lines."""
    cells = [str(cell) for cell in (column.header, *column.cells)]
    return max(len(part) for cell in cells for part in cell.split("\n" if column.no_wrap else None) or [""])
