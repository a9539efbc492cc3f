"""What a script that reads a run back is told: which run, which of its weights, whose code it may use."""

import argparse
from pathlib import Path


def run_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of `run`, `checkpoint` and `allow`, for a script to add its own arguments to."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's directory")
    parser.add_argument("--checkpoint", choices=["best", "last"], default="best", help="which weights (best)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="PACKAGE", help="a package whose code the run may use"
    )
    return parser
