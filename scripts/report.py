"""Which setting of a sweep is best, and how sure that is: python scripts/report.py outputs/sweeps/lr_study

Of one sweep or of several together, finished, running or cut off. Figures go to figures/ in the sweep's directory, of
several sweeps to where --figures says. With --html, all of it is one page that can be mailed.
"""

from simplenn import signals

if __name__ == "__main__":
    signals.install()  # before the imports that take time


import argparse
from pathlib import Path

from simplenn.command import run_command
from simplenn.errors import ConfigError
from simplenn.report import study_of
from simplenn.report.commands import Commands
from simplenn.report.lines import Report, screen

PAGE = "report.html"
THE_SWEEPS = Path(PAGE)  # for --html without a file: that in the sweep's directory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="sweep", help="a sweep's directory")
    parser.add_argument("--all", action="store_true", help="show all settings, and not only the ten best")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="where figures go (figures/ of the sweep)")
    parser.add_argument("--no-figures", action="store_true", help="draw none")
    parser.add_argument(
        "--html", type=Path, nargs="?", const=THE_SWEEPS, metavar="FILE", help=f"write a page ({PAGE} of the sweep)"
    )
    arguments = parser.parse_intermixed_args()
    sweeps = list(dict.fromkeys(arguments.sweeps))
    if len(sweeps) > 1 and arguments.html is THE_SWEEPS:
        raise ConfigError(
            f"--html of several sweeps must say which file, got none; try --html {PAGE.replace('.', 's.')}"
        )
    study = study_of(sweeps)
    report = Report(study, Commands(study))
    print(report.counts())
    for line in report.lines(screen(), None if arguments.all else 10):
        print(line)
    _ = arguments.figures or (sweeps[0] / "figures" if len(sweeps) == 1 else None)


if __name__ == "__main__":
    run_command(main, output_is_product=True)
