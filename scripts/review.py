"""Shows runs and sweeps in TensorBoard, in the way that fits: python scripts/review.py outputs/sweeps/lr_study

A sweep is shown by what it found and by its settings, or by its runs where they are few; a folder by the runs that were
written last. It runs until Ctrl-C, and can be reached from this machine alone.
"""

from simplenn import signals

if __name__ == "__main__":
    signals.install()  # before the imports that take time


import argparse
import time
from pathlib import Path

from simplenn.command import run_command
from simplenn.errors import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="*", default=[Path("outputs")], metavar="path",
                        help="a run, a sweep, or a folder of them (outputs)")  # fmt: skip
    parser.add_argument("--show", default="auto", help="of a sweep: overview, settings or runs (auto: by their number)")
    parser.add_argument("--port", type=int, help="where the page is (6006, or another one that is free)")
    arguments = parser.parse_args()
    if arguments.port is not None and not 0 <= arguments.port < 65536:
        raise ConfigError(
            f"--port must be a number from 0 (any that is free) to 65535, got {arguments.port}; leave it out"
        )

    from simplenn.report.tensorboard.review import parse_show, review_of
    from simplenn.report.tensorboard.server import Server

    signals.begin_work()
    review = review_of(arguments.paths, parse_show(arguments.show), lambda line: print(line, flush=True))
    try:
        server = Server(review.folder / "logdir", "simplenn", arguments.port)
        if not server.wait_until_loaded([entry.name for entry in review.entries]):
            print("TensorBoard hasn't read all of it yet; reload the page in a while")
        for note in review.notes:
            print(note)
        for link, what in review.links:
            print(f"{what}:\n    {server.url}{link}")
        print("Ctrl-C ends it", flush=True)
        while True:  # in short waits: the system may give a signal to another thread, which doesn't wake this one
            time.sleep(0.2)
    finally:
        review.close()


if __name__ == "__main__":
    run_command(main, output_is_product=True)
