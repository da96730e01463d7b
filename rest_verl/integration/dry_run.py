"""What would this training command do? Everything that can be checked before a GPU is asked for.

    rest-verl dry-run <arguments of verl.trainer.main_ppo> [--yaml [FILE.yaml]]

Composes the configuration as `main_ppo` does, asks the checks that the start asks (`run_checks`),
and says in 80 columns what was found and what the run will take. `--yaml` prints the configuration
as well, fully resolved: standard output is then one YAML document, with all else as comments in
front. With a file's name it goes there. Starts no Ray, reads no weights, writes nothing else,
downloads nothing. A refused command is one line on standard error and exit code 1
(HYDRA_FULL_ERROR=1 for the traceback).
"""

import argparse
import os
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from rest_verl.files.atomic import write_atomically
from rest_verl.integration.checks import check_arguments
from rest_verl.integration.data_files import CUSTOM_CLASS, data_files, named_files
from rest_verl.integration.overrides import (
    composition_error,
    refuse_near_misses,
    refuse_unreadable,
)
from rest_verl.integration.provenance import settle_users_own
from rest_verl.integration.run_checks import Examined, examine
from rest_verl.integration.run_record import bring_files
from rest_verl.integration.verl_checks import DEFAULT_NAME, reason, verl_folder, verls_own

PROGRAM = "verl.trainer.main_ppo"
WIDTH = 78  # 80 columns behind YAML's "# "
STDOUT = "-"


def compose_config(arguments: list[str]) -> tuple[DictConfig, DictConfig]:
    """The configuration that `main_ppo` would get from these arguments, and verl's own.

    Args:
        arguments: Overrides, and Hydra's --config-path, --config-name and --config-dir; relative
            paths count as they do for `main_ppo`.

    Raises:
        ValueError: Hydra or our own checks refuse an argument.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    parser = argparse.ArgumentParser(
        prog="rest-verl dry-run",
        description="Checks a training command and estimates its memory and time. --yaml prints "
        "the resolved configuration too, --yaml FILE.yaml writes it there.",
        allow_abbrev=False,
    )
    parser.add_argument("--config-path", "-cp", default="config")
    parser.add_argument("--config-name", "-cn", default=DEFAULT_NAME)
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("overrides", nargs="*", help="as for verl.trainer.main_ppo")
    options = parser.parse_intermixed_args(arguments)
    refuse_unreadable(options.overrides)
    check_arguments(arguments)
    name, overrides = options.config_name.removesuffix(".yaml"), options.overrides
    more = Path(options.config_dir).resolve() if options.config_dir else None
    if more is not None and not more.is_dir():
        raise ValueError(f"--config-dir {more}: no such folder")

    usual = verls_own(name)
    try:
        config = _compose(
            verl_folder() / "trainer" / options.config_path, name, *overrides, more=more
        )
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(composition_error(error, usual)) from error
    refuse_near_misses(overrides, usual)
    return config, usual


def _compose(folder: Path, name: str, *overrides: str, more: Path | None = None) -> DictConfig:
    """As Hydra composes; `more` is --config-dir's folder."""
    from hydra import compose, initialize_config_dir
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder.resolve()), job_name="main_ppo", version_base=None):
        if more is not None:  # where Hydra's own command line puts it
            loader: Any = GlobalHydra.instance().config_loader()
            loader.get_search_path().prepend(
                "command-line", f"file://{more}", SearchPathQuery(provider="schema")
            )
            loader.repository.initialize_sources(loader.get_search_path())
        config = compose(name, overrides=list(overrides), return_hydra_config=True)
        if OmegaConf.select(config, "hydra.callbacks.rest_verl") is not None:
            settle_users_own(config, name, overrides)
            bring_files(config, name, overrides)
    with open_dict(config):
        del config["hydra"]
    return config


class DryRun(NamedTuple):
    """What a command would do."""

    config: DictConfig
    summary: list[str]
    """Lines of at most WIDTH columns, the outcome first; a longer one holds a long word."""


def dry_run(arguments: list[str]) -> DryRun:
    """Checks these arguments of `main_ppo`.

    Raises:
        ValueError: The configuration is refused, by Hydra, verl or us.
    """
    from rest_verl.planning import describe, estimate

    config, _ = compose_config(arguments)
    found = examine(config)
    *details, verdict = describe(estimate(config)).splitlines()
    paragraphs = [verdict, *_findings(config, found), "", *found.in_force, "", *details]
    return DryRun(config, [line for text in paragraphs for line in _wrapped(text)])


def _findings(config: DictConfig, found: Examined) -> list[str]:
    seen = [
        f"looked at: {file.name}, {len(file.rows)} of {file.count:,} rows"
        for file in data_files(config)
    ]
    return [
        *(f"warning: {text}" for text in found.warnings),
        *(f"not looked at: {text}" for text in left_out(config)),
        *seen,
    ]


def left_out(config: DictConfig) -> list[str]:
    """One line for each thing that the run needs and that could not be looked at here."""
    lines = []
    path = str(config.actor_rollout_ref.model.path)
    if not Path(path).expanduser().is_dir():
        lines.append(f"model {path} is not a folder here: its own files, the prompts' lengths")
    if OmegaConf.select(config, CUSTOM_CLASS):
        lines.append("the data: data.custom_cls reads it")
        return lines
    missing = [f"{setting}={file}" for setting, file in named_files(config) if not file.exists()]
    return [*lines, *(f"{name} does not exist yet" for name in missing)]


def _wrapped(text: str) -> list[str]:
    if len(text) <= WIDTH:
        return [text]
    return textwrap.wrap(
        text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def main(argv: list[str] | None = None) -> int:
    """Prints the summary; 1 and one line on standard error where the command is refused."""
    target, arguments = _take_yaml(list(sys.argv[1:] if argv is None else argv))
    # A whole command may stand behind `rest-verl dry-run`: its interpreter and module go.
    for place, argument in enumerate(arguments):
        if argument == PROGRAM or Path(argument).name == "main_ppo.py":
            arguments = arguments[place + 1 :]
            break
    try:
        config, summary = dry_run(arguments)
        if target not in ("", STDOUT):
            _write(Path(target), config)
            summary.append(f"configuration: {target}")
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"rest_verl: {reason(error)}", file=sys.stderr)
        return 1
    if target == STDOUT:
        print("\n".join(f"# {line}".rstrip() for line in summary))
        print(OmegaConf.to_yaml(config, resolve=True), end="")
    else:
        print("\n".join(summary))
    return 0


def _take_yaml(arguments: list[str]) -> tuple[str, list[str]]:
    """Where `--yaml` wants the configuration ("" nowhere, "-" on standard output), and the rest.

    What follows `--yaml` is mostly an override, so only a name that ends in .yaml is a file.
    """
    for place, argument in enumerate(arguments):
        option, _, file = argument.partition("=")
        if option != "--yaml":
            continue
        after = arguments[place + 1 :]
        if not file and after and after[0].endswith((".yaml", ".yml")) and "=" not in after[0]:
            file = after.pop(0)
        return file or STDOUT, arguments[:place] + after
    return "", arguments


def _write(file: Path, config: DictConfig) -> None:
    if not file.parent.is_dir():
        raise ValueError(f"--yaml {file}: no such folder {file.parent}")
    write_atomically(file, OmegaConf.to_yaml(config, resolve=True))


if __name__ == "__main__":
    sys.exit(main())
