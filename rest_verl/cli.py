"""The command `rest-verl`: doctor, report, evaluate."""

import argparse
import logging
import sys
import warnings
from pathlib import Path

from rest_verl.evaluation.commands import add_evaluate


def doctor(_: argparse.Namespace) -> int:
    """Prints what is installed and registered; 1 if anything needed is missing."""
    from rest_verl.doctor import choose_platform, examine
    from rest_verl.doctor import report as as_text

    logging.disable(logging.WARNING)  # verl warns about every engine that is not installed
    warnings.simplefilter("ignore")
    chose_cpu = choose_platform()
    findings = examine()
    print(as_text(findings))
    if chose_cpu:
        print("no accelerator here: examined as the CPU scripts run, with VERL_PLATFORM=cpu")
    return 0 if all(finding.ok for finding in findings) else 1


def report(arguments: argparse.Namespace) -> int:
    """Writes a run's report."""
    from rest_verl.viewing.report import write_report

    print(write_report(arguments.run, arguments.output))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs one command; user errors are one line on standard error and exit code 1."""
    parser = argparse.ArgumentParser(prog="rest-verl", description="ResT for verl")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("doctor", help="is everything installed and registered here?")
    command.set_defaults(run_command=doctor)
    command = commands.add_parser("report", help="a run's curves and samples as HTML and PNG")
    command.add_argument("run", type=Path, help="folder with metrics.jsonl")
    command.add_argument("--output", type=Path, help="HTML file (default: RUN/report.html)")
    command.set_defaults(run_command=report)
    add_evaluate(commands)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run_command(arguments)
    except (OSError, ValueError) as error:
        print(f"rest-verl: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
