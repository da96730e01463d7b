"""verl's own checks, in the order of a start, and what its workers assert once they run.

verl checks a part of its configuration before it starts Ray and the rest after; here all of it is
asked at once. This imports verl's trainers.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rest_verl.integration.checks import LOSS_MODE
from rest_verl.integration.data_files import LOOP, data_files
from rest_verl.integration.estimator_checks import ESTIMATOR
from rest_verl.integration.names import INSTALL_VERL
from rest_verl.integration.scorers import FUNCTION

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


@cache
def verls_own(name: str = DEFAULT_NAME) -> DictConfig:
    """verl's configuration of that name without overrides, as verl ships it composed, and resolved;
    ppo_trainer for a name not of verl's."""
    folder = verl_folder() / "trainer" / "config"
    file = folder / f"_generated_{name}.yaml"
    if not file.is_file():
        file = folder / f"_generated_{DEFAULT_NAME}.yaml"
    config = OmegaConf.create(OmegaConf.to_container(OmegaConf.load(file), resolve=True))
    assert isinstance(config, DictConfig)
    return config


def check_verl(config: DictConfig) -> list[str]:
    """Runs the checks; what verl and the trainer print is returned, line by line.

    Args:
        config: changed in place: trainers rewrite it.

    Raises:
        Exception: Whatever verl raises; mostly ValueError and AssertionError.
    """
    with _quiet() as printed:
        from verl.trainer.ppo.utils import need_critic, need_reference_policy
        from verl.trainer.ppo.v1.trainer_base import get_trainer_cls
        from verl.utils.config import omega_conf_to_dataclass, validate_config
        from verl.utils.device import auto_set_device

        _check_fields(config, verls_own())
        auto_set_device(config)
        validate_config(
            config=config,
            use_reference_policy=need_reference_policy(config),
            use_critic=need_critic(config),
        )
        _check_names(config)
        _check_sizes(config)
        for section in ("rollout", "rollout.checkpoint_engine"):
            omega_conf_to_dataclass(OmegaConf.select(config.actor_rollout_ref, section))
        if Path(str(config.actor_rollout_ref.model.path)).expanduser().is_dir():
            omega_conf_to_dataclass(config.actor_rollout_ref.model)
        if config.trainer.use_v1:
            get_trainer_cls(config.trainer.v1.trainer_mode)(config)
    lines = [line for line in printed.getvalue().splitlines() if line.strip()]
    return [line for line in lines if not line.startswith("[validate_config]")]


def reason(error: BaseException) -> str:
    """What verl's exception says, in one line."""
    from hydra.errors import InstantiationException

    text = " ".join(str(error).split())
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        section = text.rpartition("full_key: ")[2]
        return f"{section}: {reason(error.__cause__)}"
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
    """Names that verl looks up in its registries only when the workers have started.

    Where workers load a module of the user's (`model.external_lib`, a reward function's), it may
    register a name that nobody knows here.
    """
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY

    def chosen(path: str) -> Any:
        return OmegaConf.select(config, path)

    rollout, reward = "actor_rollout_ref.rollout.agent", "reward.reward_manager"
    looked_up = [(ESTIMATOR, chosen(ESTIMATOR), ADV_ESTIMATOR_REGISTRY)]
    if not chosen("actor_rollout_ref.model.external_lib"):
        looked_up.append((LOSS_MODE, chosen(LOSS_MODE), POLICY_LOSS_REGISTRY))
    if chosen(f"{reward}.source") == "register" and not chosen(f"{FUNCTION}.path"):
        looked_up.append((f"{reward}.name", chosen(f"{reward}.name"), REWARD_MANAGER))
    if not chosen(f"{rollout}.agent_loop_config_path"):
        default = f"{rollout}.default_agent_loop"
        looked_up.append((default, chosen(default), _agent_loop_registry))
        looked_up += [
            (f"{file.name}: {LOOP}", loop, _agent_loop_registry)
            for file in data_files(config)
            if LOOP in file.columns
            for _, loop in file.kinds
        ]
    for place, name, registry in looked_up:
        if name not in registry:
            known = ", ".join(sorted(str(getattr(key, "value", key)) for key in registry))
            raise ValueError(f"{place}={name} is unknown to verl; known: {known}")


def _check_sizes(config: DictConfig) -> None:
    """What verl's workers assert once they run: divisibility, and room for the longest answer."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    gpus = config.trainer.nnodes * config.trainer.n_gpus_per_node
    replica = rollout.tensor_model_parallel_size * rollout.data_parallel_size
    pools = {"trainer": gpus, "rollout": rollout.nnodes * rollout.n_gpus_per_node}
    is_separate = config.trainer.v1.trainer_mode in ("separate_async", "rest_separate_async")
    if is_separate and not config.actor_rollout_ref.hybrid_engine:
        del pools["trainer"]  # it holds no engine
    for name, pool in pools.items():
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
