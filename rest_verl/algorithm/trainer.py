"""Moved to `rest_verl.integration.trainer`; the documentation once named this place."""

from rest_verl.integration.trainer import (
    ReSTMixin,
    ReSTTrainerColocateAsync,
    ReSTTrainerSeparateAsync,
    ReSTTrainerSync,
)

__all__ = ["ReSTMixin", "ReSTTrainerColocateAsync", "ReSTTrainerSeparateAsync", "ReSTTrainerSync"]
