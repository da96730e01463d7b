"""The command `rest-verl`: doctor, dry-run, report, view, evaluate, gradients, and replays."""

import argparse
import logging
import sys
import warnings
from pathlib import Path

from rest_verl import __version__
from rest_verl.evaluation.commands import add_evaluate
from rest_verl.integration.names import INSTALL_VERL, VERLS_PACKAGES
from rest_verl.options.names import Parser
from rest_verl.study.gradients.command import add_gradients
from rest_verl.study.replay.command import add_replay_step
from rest_verl.study.rescore.command import add_rescore
from rest_verl.viewing.report.command import add_report
from rest_verl.viewing.tokens.command import add_view


def doctor(arguments: argparse.Namespace) -> int:
    """Prints what is installed and registered, each line as it is known; 1 if any is missing."""
    from rest_verl.integration.doctor import examine, verdict

    logging.disable(logging.WARNING)  # verl warns about every engine that is not installed
    warnings.simplefilter("ignore")
    findings = []
    for finding in examine(arguments.model):
        print(finding, flush=True)
        findings.append(finding)
    print(verdict(findings))
    return 0 if not any(finding.is_missing for finding in findings) else 1


def command_parser() -> Parser:
    """All commands with their options; `run_command` of what is parsed runs the chosen one."""
    parser = Parser(prog="rest-verl", description="ResT for verl")
    parser.add_argument("--version", action="version", version=f"rest-verl {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("doctor", help="is everything installed and registered here?")
    command.add_argument(
        "--model", type=Path, help="also: how does the model in this folder write tool calls?"
    )
    command.set_defaults(run_command=doctor)
    add_report(commands)
    add_view(commands)
    add_evaluate(commands)
    add_gradients(commands)
    add_rescore(commands)
    add_replay_step(commands)
    commands.add_parser("dry-run", help="what would a training command do? checks, memory, time")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; user errors are one line on standard error and exit code 1."""
    given = sys.argv[1:] if argv is None else argv
    try:
        if given[:1] == ["dry-run"]:  # what follows is verl's and Hydra's, options and all
            from rest_verl.integration.dry_run import main as dry_run

            return dry_run(given[1:])
        arguments = command_parser().parse_args(given)
        return arguments.run_command(arguments)
    except ModuleNotFoundError as error:  # installed without its dependencies, or without verl
        name = str(error.name)
        is_verls = name.partition(".")[0] in VERLS_PACKAGES
        mend = INSTALL_VERL if is_verls else f"pip install {name}"
        print(
            f"rest-verl: this command needs the package {name}, which is not installed here: "
            f"{mend}",
            file=sys.stderr,
        )
        return 1
    except (OSError, ValueError) as error:
        print(f"rest-verl: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
