"""The `train.log` of a run group's runs: what `scripts/train.py` logs of a run that trains by itself within a sweep.

Shapes: N training samples, F features.
"""

import logging
import re
from typing import Any

from omegaconf import OmegaConf

from simplenn.groups import RunGroup
from simplenn.rundir import Result, closing_lines, output_lines

NOT_IN_NAMES = re.compile(r"[^\w.,=+@ -]|^\.")
LONGEST = 100


def as_file_name(text: str) -> str:
    """The text, where it is one that names a file in any folder, without what makes it a path."""
    return NOT_IN_NAMES.sub("_", text)[:LONGEST] or "_"


Samples = tuple[list[list[float]], list[float]]


class LogFiles:
    """Makes the files, in the format of the job's own handler; `name` is empty where it has none.

    `samples` are the training set's inputs and targets.
    """

    def __init__(self, group: RunGroup, samples: Samples | None) -> None:
        node: Any = OmegaConf.to_container(group.composed.hydra, resolve=False)  # a stranger's, which is only text
        handlers: Any = node["job_logging"] or {}
        handler = handlers.get("handlers", {}).get("file")
        self.name = f"{as_file_name(str(node['job']['name']))}.log" if handler else ""
        form = handlers.get("formatters", {}).get(handler["formatter"], {}).get("format") if handler else None
        self._quiet = bool(group.cfg.quiet)
        self._samples = samples if group.cfg.show_outputs else None
        self._formatter = logging.Formatter(form)
        self._finished = group.finished
        self._prefixes: dict[tuple[str, int], tuple[str, str]] = {}

    def file(self, result: Result, outputs: list[float] | None) -> bytes:
        """One run's; `outputs` are those for the samples, [N]."""
        texts: list[str] = []
        if self._samples is not None and outputs is not None:
            inputs, targets = self._samples
            texts = output_lines(inputs, outputs, targets)
        lines = closing_lines(result, quiet=self._quiet, outputs=texts)
        return "".join(self._line(*line) for line in lines).encode()

    def _line(self, name: str, level: int, message: str) -> str:
        """As the formatter makes it, which is asked once for each kind of line."""
        if (name, level) not in self._prefixes:
            record = logging.makeLogRecord(
                {
                    "name": name,
                    "levelno": level,
                    "levelname": logging.getLevelName(level),
                    "msg": "\0",
                    "created": self._finished,
                    "msecs": self._finished % 1 * 1000,
                }
            )
            before, _, after = self._formatter.format(record).partition("\0")
            self._prefixes[name, level] = before, after
        before, after = self._prefixes[name, level]
        return f"{before}{message}{after}\n"
