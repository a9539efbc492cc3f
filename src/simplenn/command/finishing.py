"""The end of a sweep's command: what it still writes, the last lines, the exit status."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from simplenn.command.going_on import GoingOn
from simplenn.report.summary import write_summary
from simplenn.rundir import review_command, shown
from simplenn.scripts import script_command
from simplenn.sweep.attempts import Attempts
from simplenn.sweep.left import what_is_left
from simplenn.sweep.multirun import resume_command

if TYPE_CHECKING:
    from simplenn.report.lines import Report
    from simplenn.sweep.record import SweepRecord

log = logging.getLogger(__name__)

MOST_SHOWN = 20  # failed runs that are listed


def finish(
    sweep: DictConfig, going_on: GoingOn | None, attempt: Attempts, stopped: str, *, is_cut_short: bool = False
) -> int:
    """Writes the sweep's table and the directories that are missing, and says how its runs ended. `is_cut_short` where
    an exception has ended the command, as that of a signal does: between two stacks no run says so.

    The exit status: 1 where a run of the sweep isn't done, or something couldn't be written.
    """
    from simplenn.sweep.record import SweepRecord

    record = SweepRecord(Path(sweep.hydra.sweep.dir), attempt)
    try:
        record.remove_superseded()
        report = _report(record, sweep)
        if report is not None:  # before the other table, whose checksum says that both are there
            attempt("write the sweep's summary", write_summary, record.directory, report.study)
        record.write_table()
        record.write_directories(sweep.run_dirs)
        _list_failures(record)
        _say(record, report)
        if stopped:
            log.error("stopped: %s", stopped)
        is_open = is_cut_short and what_is_left(record.directory, record.runs).num_runs > 0
        if stopped or is_open or record.interrupted or record.attempt.failed:
            log.info("go on with: %s", resume_command(record.directory))
        elif sweep.verify:
            record.attempt("verify", _verify, record, going_on, sweep.verify)
    finally:
        if going_on is not None:
            going_on.end()
    return 1 if set(record.counts) - {"done"} or stopped or record.attempt.failed else 0


def _report(record: "SweepRecord", sweep: DictConfig) -> "Report | None":
    """`None` where no run has begun."""
    if not len(record.runs):
        return None
    from simplenn.report import study_of_runs
    from simplenn.report.commands import Commands
    from simplenn.report.lines import Report

    study = study_of_runs([record.directory], record.runs)
    return Report(study, Commands(study, sweep))


def _say(record: "SweepRecord", report: "Report | None") -> None:
    """How the runs ended, which setting is best, how sure that is, the odd ones, and where to look."""
    if report is None:
        log.info("0 runs: none has ended")
    else:
        from simplenn.report.lines import screen

        for line in [report.counts(), *(report.lines(screen()) if report.has_ended else [])]:
            log.info("%s", line)
    log.info("sweep:  %s", shown(record.directory))
    if report is not None and report.has_ended:
        log.info("report: %s", script_command("report.py", shown(record.directory), "--html"))
    log.info("review: %s", review_command(record.directory))


def _list_failures(record: "SweepRecord") -> None:
    failed = record.failures
    for name, message in failed[:MOST_SHOWN]:
        log.error("failed: %s: %s", name, " ".join(message.split()))
    if len(failed) > MOST_SHOWN:
        log.error("... and %s more; results.csv has all of them", f"{len(failed) - MOST_SHOWN:,}")


def _verify(record: "SweepRecord", going_on: GoingOn | None, count: int) -> None:
    from simplenn.command.verification import verify_parts
    from simplenn.sweep.parts import find_parts

    trained = None if going_on is None else {own for group in going_on.plan.groups for own in group.identities}
    if not verify_parts(find_parts(record.directory), count, trained):
        record.attempt.failed = True
