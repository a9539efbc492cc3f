"""What each of torch's operations is in C++: the table of all rules."""

from simplenn.stacking.compiled.arrays import ARRAYS
from simplenn.stacking.compiled.functions import FUNCTIONS
from simplenn.stacking.compiled.pointwise import POINTWISE
from simplenn.stacking.compiled.reductions import EXTREMES, SUMS
from simplenn.stacking.compiled.views import VIEWS

RULES = {**POINTWISE, **VIEWS, **FUNCTIONS, **ARRAYS, **SUMS, **EXTREMES}
