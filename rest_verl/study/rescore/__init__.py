"""Recorded rollouts scored again, beside what was logged."""
