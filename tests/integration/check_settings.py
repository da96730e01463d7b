"""Settings of verl's that the tests of the checks name, and configurations made of them."""

SYNC = {"trainer.v1.trainer_mode": "rest_sync"}
MODE = "trainer.v1.trainer_mode"
LOSS_MODE = "actor_rollout_ref.actor.policy_loss.loss_mode"
BYPASS = "algorithm.rollout_correction.bypass_mode"
ROLLOUT = "actor_rollout_ref.rollout"
DISTILLATION = "distillation.distillation_loss"
ESTIMATOR = "algorithm.adv_estimator"
KEYS = "algorithm.gdpo_reward_keys"
GDPO = {**SYNC, ESTIMATOR: "gdpo", KEYS: ["format", "correctness"]}
REST_MANAGER = {
    "reward.reward_manager.name": "rest",
    "reward.custom_reward_function.path": None,
}
REJECTION = "algorithm.rollout_correction.rollout_rs"
FUSED = "actor_rollout_ref.model.use_fused_kernels"
STRATEGY = "actor_rollout_ref.actor.strategy"
POOL = "reward.reward_model.enable_resource_pool"
# what verl asserts of a separate_async run
SEPARATE = {
    MODE: "rest_separate_async",
    "data.train_batch_size": 64,
    "trainer.v1.separate_async.parameter_sync_step": 4,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 16,
    f"{ROLLOUT}.nnodes": 1,
    f"{ROLLOUT}.n_gpus_per_node": 8,
    f"{ROLLOUT}.checkpoint_engine.backend": "nccl",
}


def tree(settings: dict) -> dict:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    root: dict = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        node = root
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = value
    return root
