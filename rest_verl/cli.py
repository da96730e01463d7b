"""The command `rest-verl`: doctor, dry-run, report, view, evaluate, gradients, and replays."""

import argparse
import logging
import sys
import warnings
from pathlib import Path

from rest_verl.evaluation.commands import add_evaluate
from rest_verl.study.gradients.command import add_gradients
from rest_verl.study.replay.command import add_replay_step
from rest_verl.study.rescore.command import add_rescore
from rest_verl.viewing.report.command import add_report
from rest_verl.viewing.tokens.command import add_view


def doctor(arguments: argparse.Namespace) -> int:
    """Prints what is installed and registered; 1 if anything needed is missing."""
    from rest_verl.integration.chosen_platform import choose_platform
    from rest_verl.integration.doctor import check_model, examine
    from rest_verl.integration.doctor import report as as_text

    logging.disable(logging.WARNING)  # verl warns about every engine that is not installed
    warnings.simplefilter("ignore")
    chose_cpu = choose_platform()
    findings = examine()
    if arguments.model is not None:
        findings.append(check_model(arguments.model))
    print(as_text(findings))
    if chose_cpu:
        print("no accelerator here: examined as the CPU scripts run, with VERL_PLATFORM=cpu")
    return 0 if all(finding.ok for finding in findings) else 1


def main(argv: list[str] | None = None) -> int:
    """Runs one command; user errors are one line on standard error and exit code 1."""
    parser = argparse.ArgumentParser(prog="rest-verl", description="ResT for verl")
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
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["dry-run"]:  # what follows is verl's and Hydra's, options and all
        from rest_verl.integration.dry_run import main as dry_run

        return dry_run(given[1:])
    arguments = parser.parse_args(given)
    try:
        return arguments.run_command(arguments)
    except ModuleNotFoundError as error:  # installed without dependencies, as beside verl
        print(
            f"rest-verl: this command needs the package {error.name}, which is not installed here: "
            f"pip install {error.name}",
            file=sys.stderr,
        )
        return 1
    except (OSError, ValueError) as error:
        print(f"rest-verl: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
