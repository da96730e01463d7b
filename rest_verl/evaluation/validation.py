"""Moved to `rest_verl.evaluation.bfcl.validation`; the documentation once named this place."""

from rest_verl.evaluation.bfcl.validation import score_validation

__all__ = ["score_validation"]
