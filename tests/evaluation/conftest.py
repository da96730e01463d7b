"""Makes the samples and the tokenizers of other tests importable here."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("data", "environments")]
