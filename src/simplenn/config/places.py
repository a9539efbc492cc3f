"""Where in a user's own code an error arose, for a refusal that shows no traceback."""

import sysconfig
import traceback
from pathlib import Path

import simplenn

# Python's own library, what pip has installed, and this package
OF_OTHERS = tuple({*(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
                   *simplenn.__path__})  # fmt: skip


def place_in_users_code(error: BaseException) -> str:
    """` in own.py:112`: the innermost place of the error's traceback that lies in a user's file; else nothing."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_a_users(frame.filename)]
    return f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _is_a_users(file: str) -> bool:
    return Path(file).is_absolute() and not file.startswith(OF_OTHERS) and Path(file).parent.name != "scripts"
