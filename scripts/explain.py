"""A trained network as a person would explain it: python scripts/explain.py outputs/runs/first_try

What each input counts, what each hidden unit does and which are dead, what it says for a few inputs, where the run
stands among the seeds of a sweep, and a figure of all that.
"""

from simplenn import signals

if __name__ == "__main__":
    signals.install()  # before the imports that take time


from pathlib import Path

from simplenn.command import run_command, run_parser
from simplenn.rundir import find_run
from simplenn.sweep.results import refuse_no_sweep


def main() -> None:
    parser = run_parser(__doc__)
    parser.add_argument(
        "--sweep", type=Path, help="whose seeds it is compared with (the sweep beside it that has most)"
    )
    parser.add_argument("--figure", type=Path, help="where the figure goes (explanation.png in the run's directory)")
    arguments = parser.parse_args()
    run = find_run(arguments.run)
    if arguments.sweep is not None:
        refuse_no_sweep(arguments.sweep)

    from rich.console import Console

    from simplenn.explanation.explain import explain
    from simplenn.explanation.figure import write_figure
    from simplenn.explanation.headline import headline, standing_lines
    from simplenn.explanation.narrow import fitted
    from simplenn.explanation.subject import subject_of

    subject = subject_of(run, arguments.checkpoint, arguments.allow)
    title = headline(subject, arguments.run, arguments.checkpoint)
    print(title)
    console = Console()
    for whole in explain(subject):
        for piece in fitted(whole, console.width):
            console.print()
            console.print(piece, highlight=False, markup=False, soft_wrap=isinstance(piece, str))
    for line in standing_lines(subject, run, arguments.sweep):
        print(f"\n{line}")
    path = arguments.figure or run.directory / "explanation.png"
    words = write_figure(subject, path, title)
    print("\nno figure: there is nothing to draw" if words is None else f"\nfigure: {path}\n{words}".rstrip())


if __name__ == "__main__":
    run_command(main, output_is_product=True)
