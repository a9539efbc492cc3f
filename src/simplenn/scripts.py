"""This repo's scripts, as a person calls them."""

import shlex
import sys
from pathlib import Path

FOLDER = Path("scripts")  # from the checkout


def script_command(script: str, *words: object) -> str:
    """The command that calls a script with these words, for a person to paste into a shell.

    The script is named by the path by which this process's own was started, `/home/me/simplenn/scripts/train.py` as
    much as `../scripts/train.py`, where that lies beside it, and else as it is from the checkout.
    """
    folder = Path(sys.argv[0]).parent
    is_beside = (folder / script).is_file() and folder.resolve() != FOLDER.resolve()
    return shlex.join(["python", str((folder if is_beside else FOLDER) / script), *map(str, words)])
