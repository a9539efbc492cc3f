"""The arguments of a script that reads a run back: the run, which of its weights, the packages that it may use."""

import argparse
from pathlib import Path


def run_parser(description: str | None) -> argparse.ArgumentParser:
    """Parses `run`, `checkpoint` and `allow`; a script adds its own arguments."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's directory")
    parser.add_argument("--checkpoint", choices=["best", "last"], default="best", help="which weights (best)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="PACKAGE", help="a package whose code the run may use"
    )
    return parser
