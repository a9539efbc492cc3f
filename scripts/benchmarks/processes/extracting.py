"""Seconds that it takes to extract each of some runs from a sweep, as JSON: extracting.py SWEEP RUN RUN ...

The first one isn't counted: it imports what is needed.
"""

import argparse
import contextlib
import io
import json
import runpy
import sys
import time
from pathlib import Path

EXTRACT = Path(__file__).resolve().parents[2] / "extract.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep")
    parser.add_argument("runs", nargs="+")
    arguments = parser.parse_args()
    extract = runpy.run_path(str(EXTRACT))["main"]
    seconds = []
    for run in arguments.runs:
        sys.argv = [str(EXTRACT), arguments.sweep, run]
        begun = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            extract()
        seconds.append(time.perf_counter() - begun)
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main()
