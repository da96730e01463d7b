"""ResT (Reshaped Token-level policy gradients) for tool-use RL, as a plugin of verl."""

__version__ = "0.1.0"
