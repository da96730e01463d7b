"""What rest_verl's trainers override, call and read of verl's v1 trainers."""

import ast
import inspect
import logging
from unittest.mock import MagicMock

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1 import trainer_base, trainer_separate_async
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync
from verl.utils.debug import marked_timer

import rest_verl.plugin  # noqa: F401 (verl loads it by itself where it is installed)
from rest_verl.integration.names import TRAINERS
from rest_verl.integration.reward_manager import VALIDATION_MARK
from rest_verl.integration.trainer import ReSTMixin, ReSTTrainerSeparateAsync

PARAMETERS = {
    "__init__": ["config"],
    "_init_tokenizer": [],
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
    "replay_buffer",
    "role_worker_mapping",
    "timing_raw",
    "tokenizer",
    "total_training_steps",
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


def without_init(cls, **attributes):
    trainer = object.__new__(cls)
    vars(trainer).update(attributes)
    return trainer


def own_functions(cls):
    return {name for name, value in vars(cls).items() if inspect.isfunction(value)}


@pytest.mark.parametrize("name", TRAINERS)
def test_what_is_extended_is_there(name):
    for method, expected in PARAMETERS.items():
        _, *parameters = inspect.signature(getattr(parent(name), method)).parameters
        assert parameters == expected, method


def test_no_extended_method_is_missing_above():
    ours = own_functions(ReSTMixin) | own_functions(ReSTTrainerSeparateAsync)
    assert ours - {"_write_weights"} == set(PARAMETERS)  # the exception is our own


def calls_of(method):
    """The calls `self.<method>(…)` in the source of verl's trainers."""
    for module in (trainer_base, trainer_separate_async):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"self.{method}":
                yield node


@pytest.mark.parametrize("method", [name for name in PARAMETERS if name != "__init__"])
def test_verls_calls_fit_our_signatures(method):
    calls = list(calls_of(method))
    assert calls
    for call in calls:
        keywords = {keyword.arg: None for keyword in call.keywords}
        ours = getattr(trainer_base.get_trainer_cls("rest_separate_async"), method)
        inspect.signature(ours).bind(None, *call.args, **keywords)


def test_what_is_read_is_set_by_verl():
    tree = ast.parse(inspect.getsource(trainer_base.PPOTrainer))
    assigned = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    assert {f"self.{name}" for name in READ} <= assigned


def test_order_of_a_step():
    """Entropies come before the weights, and nothing else writes the column before the update."""
    trainer, batch = MagicMock(), MagicMock(extra_info={})
    trainer.replay_buffer.sample.return_value = (batch, {})
    trainer.use_reference_policy = trainer.use_critic = False
    trainer.config.trainer.critic_warmup, trainer.global_steps = 0, 1
    trainer_base.PPOTrainer._step_once(trainer, {}, {}, sample_batch_size=4)
    steps = [
        name for name, *_ in trainer.method_calls if name.startswith(("_comp", "_upd", "_bal"))
    ]
    assert steps == [
        "_balance_batch",  # adds padding rows
        "_compute_old_log_prob",
        "_compute_advantage",
        "_update_actor",
    ]
    (_, (given,), keywords) = trainer._update_actor.mock_calls[0]
    assert given is trainer._compute_advantage.return_value  # what is returned is trained on
    assert set(keywords) == {"metrics"}


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


class Reached(Exception):
    pass


def test_validation_takes_whole_batches_from_the_loader(compose_verl, monkeypatch):
    trainer = without_init(trainer_base.get_trainer_cls("rest_sync"), config=compose_verl())
    loader = trainer.val_dataloader = [{"raw_prompt": np.array(["a", "b"], dtype=object)}]
    make_tensordict, batches = trainer_base.tu.get_tensordict, []

    def capture(batch):
        batches.append(make_tensordict(batch))
        raise Reached

    monkeypatch.setattr(trainer_base.tu, "get_tensordict", capture)
    with pytest.raises(Reached):
        trainer._validate()
    assert trainer.val_dataloader is loader
    # The agent loop's worker takes a row's value from a NonTensorStack as `column[i].data`.
    assert [row.data for row in batches[0].get(VALIDATION_MARK)] == [True, True]


def test_actor_role_is_in_the_mapping(compose_verl):
    from rest_verl.integration.cpu.actor_worker import ACTOR_ROLES

    trainer = without_init(parent("rest_separate_async"), config=compose_verl())
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
