"""The names under which verl knows what rest_verl registers."""

POLICY_LOSS = ADVANTAGE_ESTIMATOR = REWARD_MANAGER = "rest"
TURN_ESTIMATOR = "rest_turn"
TRAINERS = ("rest_sync", "rest_colocate_async", "rest_separate_async")
AGENT_LOOPS = ("rest_single_turn", "rest_tool_env")
