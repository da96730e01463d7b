"""The tokenizers of real models, loaded as verl loads them.

    @each_real_tokenizer
    def test_something(name: str) -> None:
        tokenizer = REAL_TOKENIZERS[name]()     # skips the test if it cannot be had
        vocabulary = real_vocabulary(name)

run_scripts/fetch_tokenizers.py fetches them; mistral-common brings its own. Each is loaded once in
a process, in a few seconds at most.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from rest_verl.algorithm.vocabulary import Vocabulary

# As run_scripts/fetch_tokenizers.py has it.
CACHE = Path(
    os.environ.get("REST_VERL_TOKENIZERS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rest_verl/tokenizers"
)


def _load(folder: Path) -> Any:
    from verl.utils.tokenizer import hf_tokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # verl says that it sets a missing padding token
        return hf_tokenizer(str(folder), local_files_only=True)


@cache
def _fetched(name: str) -> Any:
    if not (CACHE / name / "source").exists():
        pytest.skip(f"no {CACHE / name}: see run_scripts/fetch_tokenizers.py")
    return _load(CACHE / name)


@cache
def _mistral(file: str, name_in_model: str) -> Any:
    """A Mistral model's folder, which may hold nothing but mistral-common's own file."""
    package = pytest.importorskip("mistral_common", reason="needs mistral-common")
    source = Path(package.__path__[0]) / "data" / file
    if not source.exists():
        pytest.skip(f"this mistral-common has no {file}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name_in_model).symlink_to(source)
        (Path(folder) / "config.json").write_text(json.dumps({"model_type": "mistral"}))
        return _load(Path(folder))


REAL_TOKENIZERS: dict[str, Callable[[], Any]] = {
    "qwen3": partial(_fetched, "qwen3"),
    "qwen3_6": partial(_fetched, "qwen3_6"),  # and Qwen 3.5; without a chat template
    "llama3_1": partial(_fetched, "llama3_1"),  # with Llama 3's chat template
    "llama2": partial(_fetched, "llama2"),
    "gemma3": partial(_fetched, "gemma3"),
    "gptoss": partial(_fetched, "gptoss"),  # without a chat template
    "deepseek_v3": partial(_fetched, "deepseek_v3"),
    "gpt4o": partial(_fetched, "gpt4o"),
    "smollm2": partial(_fetched, "smollm2"),
    "mistral_tekken": partial(_mistral, "tekken_240911.json", "tekken.json"),
    "mistral_v1": partial(_mistral, "tokenizer.model.v1", "tokenizer.model.v1"),
    "mistral_v3": partial(
        _mistral, "mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model.v3"
    ),
    "mistral_v7": partial(
        _mistral, "mistral_instruct_tokenizer_241114.model.v7", "tokenizer.model.v7"
    ),
}
"""Name -> a function that gives the tokenizer, the same one each time, or skips the test."""

PUTS_A_SPACE_BEFORE = frozenset({"llama2", "mistral_v1", "mistral_v3", "mistral_v7"})
"""SentencePiece tokenizers that encode a text with a space before it."""

each_real_tokenizer = pytest.mark.parametrize("name", list(REAL_TOKENIZERS))


@cache
def real_vocabulary(name: str) -> Vocabulary:
    """The byte table of that tokenizer, with the generic ends of turn."""
    return Vocabulary.from_tokenizer(REAL_TOKENIZERS[name]())
