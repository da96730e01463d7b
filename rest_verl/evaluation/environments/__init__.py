"""Rows of one's own environments, held as in training, and what they come to."""
