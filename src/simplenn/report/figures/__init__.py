"""The figures of a sweep: `drawings` says which there are, each other file draws one kind, `axes` has what they share.
Imports matplotlib.
"""

from simplenn.report.figures.against_number import against
from simplenn.report.figures.by_epoch import curves
from simplenn.report.figures.drawings import Drawing, drawings, refuse_heat, write_drawings
from simplenn.report.figures.final_values import histogram, side_by_side
from simplenn.report.figures.two_numbers import heat_map

__all__ = [
    "Drawing",
    "against",
    "curves",
    "drawings",
    "heat_map",
    "histogram",
    "refuse_heat",
    "side_by_side",
    "write_drawings",
]
