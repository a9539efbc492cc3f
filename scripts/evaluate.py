"""The test loss of a run, and its loss outside the training range: python scripts/evaluate.py outputs/runs/first_try"""

from simplenn import signals

if __name__ == "__main__":
    signals.install()  # before the imports that take time


from simplenn.command import run_command, run_parser
from simplenn.rundir import find_run


def main() -> None:
    arguments = run_parser(__doc__).parse_args()
    run = find_run(arguments.run)

    from rich.console import Console
    from rich.table import Table

    from simplenn.evaluation import evaluate, load_run

    regressor, data, epoch = load_run(run, arguments.checkpoint, arguments.allow)
    metrics = evaluate(run, regressor, data)
    kinds = list(dict.fromkeys(name.partition("/")[2] for name in metrics))
    table = Table("data")
    for kind in kinds:
        table.add_column(kind, justify="right")
    labels = {"test": "test", "extrapolation": "outside the training range"}
    for part in dict.fromkeys(name.partition("/")[0] for name in metrics):
        table.add_row(labels.get(part, part), *(f"{metrics[f'{part}/{kind}']:.4g}" for kind in kinds))
    print(f"{arguments.run}, {arguments.checkpoint} checkpoint (epoch {epoch})")
    Console().print(table)


if __name__ == "__main__":
    run_command(main, output_is_product=True)
