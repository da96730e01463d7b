"""The command `rest-verl report`: one run or several, as a page or live in the terminal."""

import argparse
from pathlib import Path
from typing import Any

from rest_verl.options.lists import Listed, split_paths

_DESCRIPTION = "how runs went: curves, tables and what to look at, as HTML, PNG and Markdown"
_EPILOG = """\
RUN is a folder with metrics.jsonl, with the file of verl's file logger, with a wandb history as
JSON lines or with tensorboard's event files, or one of these files. Several runs are laid over each
other. Write NAME=RUN to name one; runs of the same NAME, such as the seeds of one setting, are
drawn as their mean and a band from the lowest to the highest:

  rest-verl report grpo=out/a0 grpo=out/a1 rest=out/b0 rest=out/b1 --output report.html

A folder of runs is listed: name those of them that are to be drawn.

A path that begins with "./" has no name, whatever "=" stands in it.
"""


def add_report(commands: Any) -> None:
    """Adds `report` to the sub-commands of the command line."""
    command = commands.add_parser(
        "report",
        help=_DESCRIPTION,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "runs",
        action=Listed,
        split=split_paths,
        metavar="RUN",
        help="a run, or NAME=RUN (see below)",
    )
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the page, with FILE's name ending in .png and .md beside it "
        "(default for a single folder: RUN/report.html)",
    )
    command.add_argument(
        "--watch",
        action="store_true",
        help="show one run in the terminal as it goes, until it is complete; writes nothing",
    )
    command.add_argument(
        "--wait", action="store_true", help="with --watch: for a run that is not there yet"
    )
    command.set_defaults(run_command=report)


def _listed(runs: list[str]) -> str:
    """The runs in a folder of runs; "" for anything else."""
    from rest_verl.viewing.report.runs import holds_runs, runs_table

    if len(runs) != 1 or not holds_runs(Path(runs[0])):
        return ""
    return runs_table(Path(runs[0]))


def report(arguments: argparse.Namespace) -> int:
    """Writes the report, or shows the run live."""
    if not arguments.watch:
        if arguments.wait:
            raise ValueError("--wait goes with --watch only")
        from rest_verl.viewing.report.write import write_reports

        if arguments.output is None and (listing := _listed(arguments.runs)):
            print(listing)
            return 0
        print(write_reports(arguments.runs, arguments.output))
        return 0
    if len(arguments.runs) > 1 or arguments.output is not None:
        raise ValueError("--watch shows one run and writes nothing: name one RUN and no --output")
    from rest_verl.viewing.report.groups import split_argument
    from rest_verl.viewing.report.live import watch

    path = split_argument(arguments.runs[0])[1]
    if not path.exists() and not arguments.wait:
        raise ValueError(f"{path}: there is no such run; add --wait to wait until there is")
    watch(path)
    return 0
