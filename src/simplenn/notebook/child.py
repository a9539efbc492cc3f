"""The process that `train` starts: it is scripts/train.py, and at its end says which directory it has worked in.

python child.py <file to say it in> <scripts/train.py> <what the script is given> ...
"""

import json
import sys
from pathlib import Path


def main() -> None:
    _, told, script, *words = sys.argv
    sys.argv = [script, *words]
    sys.path[0] = str(Path(script).parent)  # before anything is imported that has to be found
    from simplenn.command.worked_in import directories

    # In the namespace that the script has as a command: Hydra finds conf/ by its __file__, joblib pickles by its names.
    namespace = vars(sys.modules["__main__"])
    namespace["__file__"] = script
    try:
        exec(compile(Path(script).read_bytes(), script, "exec"), namespace)
    finally:
        Path(told).write_text(json.dumps({kind: str(directory) for kind, directory in directories.items()}))


if __name__ == "__main__":
    main()
