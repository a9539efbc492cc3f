"""Trains one run again and again, stopped at one crash point after the other, then once more: run as a script.

`crashing.py <conf> <folder> <points> <overrides>`: `points` is a JSON list of lists, each of the crash points of one
directory, one for each of its sessions; a last session is not stopped. Directory `whole` is stopped nowhere, and its
crash points are named in `points.txt`. Each session has a process of its own, forked from this one, which only imports.
"""

import json
import os
import sys
from itertools import count
from pathlib import Path

from hydra import compose, initialize_config_dir

from simplenn.rundir import crash_points
from simplenn.training.train import train


def session(directory: Path, at: int = 0, log: str = "") -> int:
    """The exit status of a training in the directory."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    crash_points._at, crash_points._log, crash_points._numbers = at, log, count(1)
    directory.mkdir(exist_ok=True)
    try:
        train(cfg, directory)
    except BaseException as error:
        print(f"{directory}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


conf, folder, points, *overrides = sys.argv[1:]
with initialize_config_dir(conf, version_base="1.3"):
    cfg = compose("train", ["quiet=true", "trainer=cpu", *overrides])
statuses = {"whole": [session(Path(folder, "whole"), log=f"{folder}/points.txt")]}
for stops in json.loads(points):
    name = "-".join(map(str, stops))
    statuses[name] = [*(session(Path(folder, name), at) for at in stops), session(Path(folder, name))]
print(json.dumps(statuses))
