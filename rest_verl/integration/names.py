"""The names under which verl knows what rest_verl registers, and how verl itself is had."""

POLICY_LOSS = ADVANTAGE_ESTIMATOR = REWARD_MANAGER = "rest"
TURN_ESTIMATOR = "rest_turn"
TRAINERS = ("rest_sync", "rest_colocate_async", "rest_separate_async")
AGENT_LOOPS = ("rest_single_turn", "rest_tool_env")

VERLS_PACKAGES = ("verl", "vllm", "ray", "tensordict", "transfer_queue", "hydra", "omegaconf")
"""Modules that come with verl, and with nothing of ours."""
INSTALL_VERL = (
    "in a clone of rest_verl, with GPUs: pip install -e '.[gpu]'; without: "
    "bash run_scripts/setup_cpu.sh"
)
"""The mend where one of them is missing."""
