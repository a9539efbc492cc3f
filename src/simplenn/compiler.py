"""Which C++ compiler is called for code that is made for one sweep. Imports no torch."""

import os
import sys


def compiler() -> str:
    """Its command: that of `CXX`, else the system's usual one."""
    return os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
