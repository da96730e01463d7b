"""One recorded training step worked out again, without a rollout."""
