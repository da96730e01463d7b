"""Evidence: what a weighting does to the gradient of a policy."""
