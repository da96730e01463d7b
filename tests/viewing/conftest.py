"""Lets these tests share the tokenizers of the algorithm's tests."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / "algorithm")]
