"""An advantage estimator as verl's trainer calls it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

from verl.protocol import DataProto
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.v1 import utils as v1

import rest_verl.plugin  # noqa: F401 (verl loads it by itself where it is installed)
from rest_verl.algorithm.advantage import rest_advantage
from rest_verl.integration.advantage import verl_advantage

MASK = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]])
INDEX = np.array(["a", "b", "a", "c"], dtype=object)
REWARDS = torch.tensor([3.0, 5.0, 1.0, -2.0])


def test_without_groups_it_refuses():
    with pytest.raises(ValueError, match="lacks uid"):
        verl_advantage(REWARDS[:, None], MASK)


def test_adapter_reads_verls_switch():
    rewards = REWARDS[:, None].expand(-1, 3) / 3
    given_false = {"norm_adv_by_std_in_grpo": False}
    for config, norm_by_std in ((None, True), ({}, True), (given_false, False)):
        advantages, _ = verl_advantage(
            rewards, MASK, index=INDEX, config=config, reward_baselines=SimpleNamespace()
        )
        expected, _ = rest_advantage(rewards, MASK, INDEX, norm_by_std=norm_by_std)
        assert torch.equal(advantages, expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    num_rows=st.integers(1, 12),
    num_groups=st.integers(1, 5),
    norm_by_std=st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_the_bits_of_verls_grpo(seed, num_rows, num_groups, norm_by_std):
    rng = np.random.default_rng(seed)
    rewards = torch.tensor(rng.normal(size=(num_rows, 4)), dtype=torch.float32)
    mask = torch.tensor(rng.integers(0, 2, size=(num_rows, 4)))
    index = np.array([f"uid{i}" for i in rng.integers(num_groups, size=num_rows)], dtype=object)
    theirs, _ = core_algos.compute_grpo_outcome_advantage(
        rewards, mask, index, norm_adv_by_std_in_grpo=norm_by_std
    )
    ours, _ = verl_advantage(
        rewards, mask, index=index, config={"norm_adv_by_std_in_grpo": norm_by_std}
    )
    assert torch.equal(ours, theirs)


KEYS = ["a_0_0", "b_0_0", "a_1_0", "c_0_0"]  # uid, session, output of the session


def advantages_by_verl(algorithm, keys=KEYS):
    """verl's v1 advantage step on the rows above; the batch as its trainer goes on with it."""
    rewards = torch.zeros(4, 3)
    rewards[:, 0] = REWARDS
    data = DataProto.from_dict(
        tensors={"token_level_rewards": rewards, "response_mask": MASK}, non_tensors={"uid": INDEX}
    )
    return v1.compute_advantage_for_multi_trajectories(
        data,
        batch_keys=keys,
        adv_estimator=algorithm.adv_estimator,
        norm_adv_by_std_in_grpo=algorithm.norm_adv_by_std_in_grpo,
        config=algorithm,
    ).batch


@pytest.fixture
def algorithm(compose_verl):
    """verl's section `algorithm`, as its trainers hand it to an estimator."""
    return lambda name: compose_verl(f"algorithm.adv_estimator={name}").algorithm


@pytest.fixture
def seen(monkeypatch):
    """What verl gives the estimator `contract`, by name."""
    given = {}

    def spy(*args, **kwargs):
        assert args == ()
        given.update(kwargs)
        return kwargs["token_level_rewards"] + 1, kwargs["token_level_rewards"] + 2

    monkeypatch.setitem(core_algos.ADV_ESTIMATOR_REGISTRY, "contract", spy)
    return given


def test_verl_gives_an_estimator_rewards_mask_uids_and_its_section(seen, algorithm):
    section = algorithm("contract")
    batch = advantages_by_verl(section)
    assert set(seen) == {"token_level_rewards", "response_mask", "index", "config"}
    assert torch.equal(seen["response_mask"], MASK)
    assert seen["token_level_rewards"].shape == MASK.shape
    assert seen["index"].tolist() == INDEX.tolist()
    assert seen["config"].get("norm_adv_by_std_in_grpo") is True  # verl's default, spelt out
    assert batch["advantages"][:, 0].tolist() == (REWARDS + 1).tolist()
    assert batch["returns"][:, 0].tolist() == (REWARDS + 2).tolist()


@pytest.mark.parametrize("norm_by_std", [True, False])
def test_the_registered_estimator_by_verls_call(algorithm, norm_by_std):
    batches = []
    for name in ("rest", "grpo"):
        section = algorithm(name)
        section.norm_adv_by_std_in_grpo = norm_by_std
        batches.append(advantages_by_verl(section))
    ours, theirs = batches
    assert theirs["advantages"].abs().sum() > 0
    for column in ("advantages", "returns"):
        assert torch.equal(ours[column], theirs[column])


def test_earlier_outputs_of_a_session_reach_every_estimator_but_verls_grpo(seen, algorithm):
    keys = ["a_0_0", "b_0_0", "a_0_1", "c_0_0"]  # rows 0 and 2 are one session
    batch = advantages_by_verl(algorithm("contract"), keys)
    assert len(seen["index"]) == 4
    assert batch["advantages"][0, 0] != batch["advantages"][2, 0]
    batch = advantages_by_verl(algorithm("grpo"), keys)
    assert batch["advantages"][0, 0] == batch["advantages"][2, 0]


def test_registration():
    assert core_algos.get_adv_estimator_fn("rest") is verl_advantage
    core_algos.register_adv_est("rest")(verl_advantage)  # loaded again: no harm
    with pytest.raises(ValueError, match="already been registered"):
        core_algos.register_adv_est("rest")(lambda **_: None)
