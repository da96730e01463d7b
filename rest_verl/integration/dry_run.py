"""What would this training command do? Everything that can be checked before a GPU is asked for.

    python -m rest_verl.integration.dry_run <arguments of verl.trainer.main_ppo>

Composes the configuration as `main_ppo` does, runs verl's checks and ours on it, and prints it,
fully resolved. Standard output is one YAML document; what was not checked, and what the run will
take, are comments at its end. Starts no Ray, reads no weights, writes nothing, downloads nothing. A
refused configuration is one line on standard error and exit code 1 (HYDRA_FULL_ERROR=1 for the
traceback).
"""

import argparse
import contextlib
import copy
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from rest_verl.integration.agent_loops.options import tool_environment_options
from rest_verl.integration.checks import check_arguments, check_config, uses_rest
from rest_verl.integration.names import INSTALL_VERL
from rest_verl.integration.overrides import (
    check_values,
    composition_error,
    refuse_near_misses,
    refuse_unreadable,
)
from rest_verl.integration.provenance import settle_users_own
from rest_verl.integration.reward_options import reward_config_from
from rest_verl.integration.syntax_check import describe_syntax

PROGRAM = "verl.trainer.main_ppo"
DEFAULT_NAME = "ppo_trainer"
_OWN_SECTION = "algorithm.rest"  # the trainers read it; checks.py knows its keys


def verl_folder() -> Path:
    """verl's folder, found without importing it.

    Raises:
        ValueError: verl is not installed.
    """
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"verl is not installed here: {INSTALL_VERL}")
    return Path(spec.submodule_search_locations[0])


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
        description="Checks a training command and prints its configuration and an estimate.",
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

    usual = _verls_own(name)
    try:
        config = _compose(
            verl_folder() / "trainer" / options.config_path, name, *overrides, more=more
        )
        OmegaConf.to_container(config, resolve=True)  # an interpolation to nowhere shows here
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(composition_error(error, usual)) from error
    refuse_near_misses(overrides, usual)
    check_values(config, usual)
    return config, usual


@cache
def _verls_own(name: str) -> DictConfig:
    """verl's configuration of that name without overrides; ppo_trainer for a name not of verl's."""
    folder = verl_folder() / "trainer" / "config"
    return _compose(folder, name if (folder / f"{name}.yaml").is_file() else DEFAULT_NAME)


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
    with open_dict(config):
        del config["hydra"]
    return config


def check_ours(config: DictConfig) -> None:
    """ResT's own checks; those of the reward and the environments hold for baselines as well."""
    if uses_rest(config):
        check_config(config)
    if config.reward.reward_manager.name == "rest":
        reward_config_from(config)
    tool_environment_options(config)


def check_verl(config: DictConfig, usual: DictConfig) -> list[str]:
    """verl's own checks, in the order of a start; what they print is returned, line by line.

    Args:
        config: What would be trained with.
        usual: verl's own configuration.

    Raises:
        Exception: Whatever verl raises; mostly ValueError and AssertionError.
    """
    config = copy.deepcopy(config)  # trainers rewrite it
    with _quiet() as printed:
        from verl.trainer.ppo.utils import need_critic, need_reference_policy
        from verl.trainer.ppo.v1.trainer_base import get_trainer_cls
        from verl.utils.config import omega_conf_to_dataclass, validate_config
        from verl.utils.device import auto_set_device

        auto_set_device(config)
        validate_config(
            config=config,
            use_reference_policy=need_reference_policy(config),
            use_critic=need_critic(config),
        )
        _check_fields(config, usual)
        _check_names(config)
        _check_sizes(config)
        for section in ("rollout", "rollout.checkpoint_engine"):
            omega_conf_to_dataclass(OmegaConf.select(config.actor_rollout_ref, section))
        if _is_local(config.actor_rollout_ref.model.path):
            omega_conf_to_dataclass(config.actor_rollout_ref.model)
        if config.trainer.use_v1:
            get_trainer_cls(config.trainer.v1.trainer_mode)(config)
    lines = [line for line in printed.getvalue().splitlines() if line.strip()]
    return [line for line in lines if not line.startswith("[validate_config]")]


def left_out(config: DictConfig) -> list[str]:
    """One line for each thing that the run needs and that could not be looked at here."""
    lines = []
    path = str(config.actor_rollout_ref.model.path)
    if not _is_local(path):
        lines.append(f"model {path} is not a folder here: its own files were not checked")
    for split in ("train_files", "val_files"):
        files = config.data[split]
        for file in [files] if isinstance(files, str) else list(files):
            if not Path(file).expanduser().exists():
                lines.append(f"data.{split}={file} does not exist yet")
    return lines


def dry_run(arguments: list[str]) -> str:
    """The YAML document for these arguments of `main_ppo`.

    Raises:
        Exception: The configuration is refused, by Hydra, verl or us.
    """
    from rest_verl.planning import describe, estimate

    config, usual = compose_config(arguments)
    check_ours(config)
    notes = check_verl(config, usual)
    if uses_rest(config) or config.reward.reward_manager.name == "rest":
        notes += filter(None, [describe_syntax(config)])
    comments = [*notes, *left_out(config), "", *describe(estimate(config)).splitlines()]
    text = OmegaConf.to_yaml(config, resolve=True)
    return text + "\n".join(f"# {line}".rstrip() for line in comments) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Prints the document; 1 and one line on standard error where the command is refused."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # A whole command may stand behind `rest-verl dry-run`: its interpreter and module go.
    for place, argument in enumerate(arguments):
        if argument == PROGRAM or Path(argument).name == "main_ppo.py":
            arguments = arguments[place + 1 :]
            break
    try:
        document = dry_run(arguments)
    except Exception as error:  # verl's checks raise what they like; a user sees one line
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"rest_verl: {_reason(error)}", file=sys.stderr)
        return 1
    sys.stdout.write(document)
    return 0


def _reason(error: BaseException) -> str:
    from hydra.errors import InstantiationException

    text = " ".join(str(error).split())
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        section = text.rpartition("full_key: ")[2]
        return f"{section}: {_reason(error.__cause__)}"
    plain = isinstance(error, ValueError | AssertionError | NotImplementedError)
    return text if plain and text else f"{type(error).__name__}: {text}"


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Keeps what verl prints for later, and silences what it logs of engines not installed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as printed:
        warnings.simplefilter("ignore")
        try:
            yield printed
        finally:
            logging.disable(before)


def _is_local(path: object) -> bool:
    return Path(str(path)).expanduser().is_dir()


def _check_fields(section: Any, usual: Any, path: str = "") -> None:
    """No added key where verl's dataclass for that section has no such field."""
    from hydra.utils import get_class

    target = section.get("_target_") or ""
    known = get_class(target) if target else None
    names = {field.name for field in fields(known)} if is_dataclass(known) else None
    for key in section:
        is_added = key not in usual
        if names is not None and is_added and key not in names and f"{path}{key}" != _OWN_SECTION:
            name = target.rpartition(".")[2]
            raise ValueError(f"{path}{key}: verl's {name} has no such option")
        if not OmegaConf.is_missing(section, key) and isinstance(section[key], DictConfig):
            below = {} if is_added or not usual[key] else usual[key]
            _check_fields(section[key], below, f"{path}{key}.")


def _check_names(config: DictConfig) -> None:
    """Names that verl looks up in its registries only when the workers have started."""
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY

    looked_up = {
        "algorithm.adv_estimator": ADV_ESTIMATOR_REGISTRY,
        "actor_rollout_ref.actor.policy_loss.loss_mode": POLICY_LOSS_REGISTRY,
    }
    if config.reward.reward_manager.source == "register":
        looked_up["reward.reward_manager.name"] = REWARD_MANAGER
    if not config.actor_rollout_ref.rollout.agent.agent_loop_config_path:
        looked_up["actor_rollout_ref.rollout.agent.default_agent_loop"] = _agent_loop_registry
    for path, registry in looked_up.items():
        name = OmegaConf.select(config, path)
        if name not in registry:
            known = ", ".join(sorted(str(getattr(key, "value", key)) for key in registry))
            raise ValueError(f"{path}={name} is unknown to verl; known: {known}")


def _check_sizes(config: DictConfig) -> None:
    """What verl's workers assert once they run: divisibility, and room for the longest answer."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    gpus = config.trainer.nnodes * config.trainer.n_gpus_per_node
    replica = rollout.tensor_model_parallel_size * rollout.data_parallel_size
    for name, pool in (("trainer", gpus), ("rollout", rollout.nnodes * rollout.n_gpus_per_node)):
        if pool % replica:
            raise ValueError(
                f"the {name}'s {pool} GPUs do not divide into rollout engines of {replica} "
                "(actor_rollout_ref.rollout.tensor_model_parallel_size * data_parallel_size)"
            )
    if actor.strategy not in ("fsdp", "fsdp2"):
        return
    shared = actor.ulysses_sequence_parallel_size
    answers = actor.ppo_mini_batch_size * rollout.n
    if gpus % shared or answers % (gpus // shared):
        raise ValueError(
            f"actor_rollout_ref.actor.ppo_mini_batch_size={actor.ppo_mini_batch_size} times "
            f"rollout.n={rollout.n} does not divide among {gpus} GPUs, {shared} to a sequence"
        )
    longest = config.data.max_prompt_length + config.data.max_response_length
    if actor.use_dynamic_bsz and actor.ppo_max_token_len_per_gpu * shared < longest:
        raise ValueError(
            f"actor_rollout_ref.actor.ppo_max_token_len_per_gpu={actor.ppo_max_token_len_per_gpu} "
            f"holds no answer of {longest} tokens (data.max_prompt_length + max_response_length): "
            f"set it to {-(-longest // shared)} or more"
        )


if __name__ == "__main__":
    sys.exit(main())
