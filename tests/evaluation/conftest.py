"""Makes the samples and the tokenizers of other tests importable here; no test asserts a time."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("data", "environments")]

settings.register_profile("without_deadline", deadline=None)
settings.load_profile("without_deadline")
