"""train.py with another time between the checkpoints of a stack in training: long_stack.py SECONDS argument ...

`inf` is for none.
"""

import runpy
import sys
from pathlib import Path

from simplenn.stacking import keeping

TRAIN = Path(__file__).resolve().parents[2] / "train.py"

if __name__ == "__main__":
    keeping.SECONDS_BETWEEN = float(sys.argv.pop(1))
    sys.argv[0] = str(TRAIN)
    runpy.run_path(str(TRAIN), run_name="__main__")
