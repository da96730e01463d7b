"""The command `rest-verl gradients`: what a weighting does to a policy's gradient."""
