"""Before queueing a run: does it fit on the GPUs, and how long will it take?"""

from rest_verl.planning.estimate import Estimate, estimate
from rest_verl.planning.text import describe

__all__ = ["Estimate", "describe", "estimate"]
