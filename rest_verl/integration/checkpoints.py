"""A model to evaluate: a Hugging Face folder, or a verl checkpoint merged into one beside it.

verl's own model merger does the merging. It reads the shards with `torch.load`, which runs code
that a file may hold: give it only checkpoints of your own. It writes bfloat16.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rest_verl.files.atomic import write_json
from rest_verl.files.json_lines import load_json

MERGED = "merged_hf"
"""The merged model's folder in a `global_step_*` folder."""
MERGED_FROM = "merged_from.json"
"""In it: the files that it was made from. Written last."""

_MODEL_SUFFIXES = (".safetensors", ".bin", ".json", ".jinja", ".txt", ".model", ".tiktoken")
_CHUNK = 1 << 22


def find_model(path: Path) -> Path:
    """The Hugging Face folder of the model at `path`, merged first if it is verl's and not yet.

    Args:
        path: a Hugging Face folder, or a `global_step_*` folder of verl's with FSDP shards (or the
            `actor` folder in it).

    Raises:
        ValueError: no such folder or no model in it, or a checkpoint that cannot be merged.
    """
    if not path.is_dir():
        raise ValueError(f"{path}: no such model folder (a model of the hub: download it first)")
    if (path / "config.json").is_file():
        if not _weights(path):
            raise ValueError(f"{path}: a config.json but no weights (*.safetensors) beside it")
        return path
    actor = path if path.name == "actor" else path / "actor"
    if (actor / "fsdp_config.json").is_file():
        return _merged(actor)
    if (actor / "model").is_dir():
        raise ValueError(
            f"{path}: only FSDP checkpoints are merged here; for Megatron run `python -m "
            f"verl.model_merger merge --backend megatron --local_dir {actor} --target_dir DIR` and "
            "evaluate DIR"
        )
    steps = sorted(path.glob("global_step_*"), key=lambda step: (len(step.name), step.name))
    hint = f"; name one of its checkpoints, such as {steps[-1]}" if steps else ""
    raise ValueError(
        f"{path}: neither a Hugging Face model (config.json) nor a checkpoint of verl "
        f"(actor/fsdp_config.json){hint}"
    )


def model_checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file that decides what the model says, by name."""
    files = [p for p in sorted(folder.iterdir()) if p.suffix in _MODEL_SUFFIXES and p.is_file()]
    files = [file for file in files if file.name != MERGED_FROM]
    with ThreadPoolExecutor() as threads:  # hashing leaves the interpreter free
        return dict(zip([file.name for file in files], threads.map(_sha256, files), strict=True))


def _weights(folder: Path) -> list[Path]:
    return [*folder.glob("*.safetensors"), *folder.glob("*.bin")]


def _merged(actor: Path) -> Path:
    saved = actor / "huggingface"
    if _weights(saved):  # saved whole: checkpoint.save_contents has hf_model
        return saved
    if (actor / "lora_train_meta.json").exists():
        raise ValueError(
            f"{actor}: a LoRA adapter, which verl's merger keeps apart from the model; merge the "
            "two (peft's merge_and_unload) and evaluate the result"
        )
    sources = _sources(actor, saved)
    target = actor.parent / MERGED
    if _read(target / MERGED_FROM) == sources:
        return target
    partial = actor.parent / f".{MERGED}.partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _run_merger(actor, partial)
        write_json(partial / MERGED_FROM, sources)
        if target.exists():  # stale, or not complete
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _sources(actor: Path, saved: Path) -> dict[str, list[int]]:
    """Name -> size and time of change of the files that the merged model is made of."""
    config = _read(actor / "fsdp_config.json")
    num_shards = config.get("world_size") if isinstance(config, dict) else None
    if type(num_shards) is not int or num_shards < 1:
        raise ValueError(f"{actor / 'fsdp_config.json'}: no world_size, so no FSDP checkpoint")
    shards = [actor / f"model_world_size_{num_shards}_rank_{rank}.pt" for rank in range(num_shards)]
    for needed in (*shards, saved / "config.json"):
        if not needed.is_file():
            raise ValueError(f"{needed}: missing, so the checkpoint cannot be merged")
    files = [*shards, *sorted(file for file in saved.iterdir() if file.is_file())]
    stats = {str(file.relative_to(actor)): file.stat() for file in files}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _run_merger(actor: Path, target: Path) -> None:
    print(f"merging {actor} with verl's model merger", file=sys.stderr)
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    command += ["--local_dir", str(actor), "--target_dir", str(target)]
    merger = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if merger.returncode or not _weights(target):
        end = "\n".join((merger.stdout + merger.stderr).splitlines()[-15:])
        raise ValueError(f"{actor}: verl's model merger failed:\n{end}")


def _read(path: Path) -> Any:
    try:
        return load_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
