"""What rest_verl's trainers override, call and read of verl's v1 trainers."""

import ast
import inspect
import logging
from functools import cache

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1 import trainer_base, trainer_separate_async
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync
from verl.utils.debug import marked_timer

import rest_verl.plugin  # noqa: F401 (verl loads it by itself where it is installed)
from rest_verl.integration.names import TRAINERS
from rest_verl.integration.trainer import ReSTMixin, ReSTTrainerSeparateAsync

PARAMETERS = {
    "__init__": ["config"],
    "_init_dataloader": [],
    "_save_checkpoint": [],
    "_compute_old_log_prob": ["batch", "metrics"],
    "_compute_advantage": ["batch", "metrics"],
    "_compute_metrics": ["batch", "metrics", "timing_raw", "global_steps", "epoch"],
    "_validate": [],
    "_setup": [],
    "_init_resource_pool_mgr": [],
}
"""verl's methods that are extended, with verl's parameters."""

READ = (
    "config",
    "global_steps",
    "parameter_sync_step",
    "replay_buffer",
    "role_worker_mapping",
    "steps_per_epoch",
    "timing_raw",
    "tokenizer",
    "total_training_steps",
    "train_dataset",
    "trainer_mode",
    "val_dataloader",
)
"""Attributes that are read, or replaced for a while."""

SETTINGS = {
    "rest_sync": [],
    "rest_colocate_async": [],
    "rest_separate_async": [
        "data.train_batch_size=256",  # parameter_sync_step x ppo_mini_batch_size
        "trainer.v1.separate_async.parameter_sync_step=1",
        "actor_rollout_ref.rollout.nnodes=1",
        "actor_rollout_ref.rollout.n_gpus_per_node=1",
        "actor_rollout_ref.rollout.checkpoint_engine.backend=nccl",
    ],
}
"""What verl itself asks for."""


def parent(name):
    return trainer_base.get_trainer_cls(name.removeprefix("rest_"))


def own_functions(cls):
    return {name for name, value in vars(cls).items() if inspect.isfunction(value)}


@pytest.mark.parametrize("name", TRAINERS)
def test_what_is_extended_is_there(name):
    for method, expected in PARAMETERS.items():
        _, *parameters = inspect.signature(getattr(parent(name), method)).parameters
        assert parameters == expected, method


def test_no_extended_method_is_missing_above():
    ours = own_functions(ReSTMixin) | own_functions(ReSTTrainerSeparateAsync)
    assert {name for name in ours if hasattr(trainer_base.PPOTrainer, name)} == set(PARAMETERS)


@cache
def calls():
    """The calls in the source of verl's trainers, as (what is called, call)."""
    trees = [ast.parse(inspect.getsource(m)) for m in (trainer_base, trainer_separate_async)]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in nodes]


@pytest.mark.parametrize("method", [name for name in PARAMETERS if name != "__init__"])
def test_verls_calls_fit_our_signatures(method):
    found = [call for name, call in calls() if name == f"self.{method}"]
    assert found
    for call in found:
        keywords = {keyword.arg: None for keyword in call.keywords}
        ours = getattr(trainer_base.get_trainer_cls("rest_separate_async"), method)
        inspect.signature(ours).bind(None, *call.args, **keywords)


def assigned(*classes):
    """The attributes that the classes' own methods set on `self`."""
    return {
        node.attr
        for cls in classes
        for node in ast.walk(ast.parse(inspect.getsource(cls)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
    }


def test_what_is_read_is_set_by_verl():
    assert set(READ) <= assigned(trainer_base.PPOTrainer)


def test_no_attribute_of_ours_is_one_of_verls():
    """But for the loader, which is replaced while validation runs."""
    ours = assigned(ReSTMixin, ReSTTrainerSeparateAsync)
    theirs = assigned(trainer_base.PPOTrainer, *map(parent, TRAINERS))
    assert ours & theirs == {"val_dataloader"}


@pytest.mark.parametrize("name", TRAINERS)
def test_the_mode_chooses_the_replay_buffer(compose_verl, name):
    settings = [*SETTINGS[name], "+rest=paper", f"trainer.v1.trainer_mode={name}"]
    trainer = trainer_base.get_trainer_cls(name)(compose_verl(*settings))
    mode = name.removeprefix("rest_")
    assert trainer.trainer_mode == trainer.config.trainer.v1.trainer_mode == mode
    assert type(trainer.replay_buffer) is (ReplayBuffer if mode == "sync" else ReplayBufferAsync)
    # This is why ReSTMixin hands the parent's mode on: verl knows the buffer by the name `sync`.
    if mode == "sync":
        unaware = parent(name)(compose_verl(*settings))
        assert type(unaware.replay_buffer) is ReplayBufferAsync


def test_registration():
    ours = trainer_base.get_trainer_cls("rest_sync")
    assert trainer_base.register_trainer("rest_sync")(ours) is ours  # loaded again: no harm
    with pytest.raises(ValueError, match="already registered"):
        trainer_base.register_trainer("rest_sync")(parent("rest_sync"))
    with pytest.raises(TypeError, match="PPOTrainer subclass"):
        trainer_base.register_trainer("contract")(ReSTMixin)


def test_actor_role_is_in_the_mapping(compose_verl):
    from rest_verl.integration.cpu.actor_worker import ACTOR_ROLES

    trainer = object.__new__(parent("rest_separate_async"))
    trainer.config = compose_verl()
    trainer._init_resource_pool_mgr()
    assert [role for role in ACTOR_ROLES if role in trainer.role_worker_mapping] == [
        Role.ActorRollout
    ]


def test_timer_and_logger():
    timings = {}
    with marked_timer("contract", timings):
        pass
    assert set(timings) == {"contract"}
    assert isinstance(trainer_separate_async.logger, logging.Logger)
