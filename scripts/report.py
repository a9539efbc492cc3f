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
from simplenn.rundir import shown

PAGE = Path("report.html")  # in the sweep's directory, for --html without a file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="sweep", help="a sweep's directory")
    parser.add_argument("--all", action="store_true", help="all settings, and not only the ten best")
    parser.add_argument("--html", action="store_true", help=f"write a page, {PAGE} in the sweep's directory")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page to this file")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="where the figures go (figures/ of the sweep)")
    parser.add_argument("--no-figures", action="store_true", help="draw none")
    parser.add_argument("--heat", nargs=2, metavar="KEY", help="the two swept numbers of the heat map")
    arguments = parser.parse_args()
    sweeps = list(dict.fromkeys(arguments.sweeps))
    page = arguments.page or (sweeps[0] / PAGE if arguments.html else None)
    if len(sweeps) > 1 and arguments.html and arguments.page is None:
        raise ConfigError(f"--html of several sweeps must say which file, got none; try --page {PAGE}")

    from simplenn.report import study_of
    from simplenn.report.commands import Commands
    from simplenn.report.lines import MOST_ROWS, Report, screen

    study = study_of(sweeps)
    if arguments.heat is not None:
        from simplenn.report.figures import refuse_heat

        refuse_heat(study, arguments.heat)
    report = Report(study, Commands(study))
    print(report.counts())
    most = None if arguments.all else MOST_ROWS
    for line in report.lines(screen(), most, "--all shows them") if report.has_ended else ():
        print(line)
    for line in (*report.failures(), *report.go_on()):
        print(line)
    if arguments.no_figures and page is None:
        return

    from simplenn.report.figures import drawings, write_drawings

    drawn = [] if arguments.no_figures else list(drawings(study, report.comparison, arguments.heat))
    folder = arguments.figures or (sweeps[0] / "figures" if len(sweeps) == 1 else None)
    if drawn and folder is None and page is None:
        print("figures: those of several sweeps are written where --figures says")
    if page is not None:  # before the figures: it may go elsewhere where the sweep can't be written
        from simplenn.report.page import page_of, write_page

        write_page(page, page_of(report, drawn))
        print(f"page:   {shown(page)}")
    if drawn and folder is not None:
        write_drawings(folder, drawn, instead=arguments.figures is None and arguments.heat is None)
        print(f"figures: {shown(folder)}/ ({', '.join(drawing.name for drawing in drawn)})")


if __name__ == "__main__":
    run_command(main, output_is_product=True)
