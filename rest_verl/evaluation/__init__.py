"""Evaluation on BFCL and API-Bank: generation, scoring apart from it, and statistics."""
