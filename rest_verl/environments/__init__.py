"""Agent loops that drive rollouts with tools."""
