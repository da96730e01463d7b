"""BFCL: rows, verdicts as the official checkers give them, accuracies and result files."""
