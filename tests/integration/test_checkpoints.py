"""What is taken for a model, and when a verl checkpoint is merged anew."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rest_verl.integration import checkpoints
from rest_verl.integration.checkpoints import find_model, model_checksums


def write(path: Path, content: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """The layout of verl's FSDP checkpoints, of two ranks."""
    step = tmp_path / "run" / "global_step_20"
    write(step / "actor" / "fsdp_config.json", json.dumps({"FSDP_version": 2, "world_size": 2}))
    write(step / "actor" / "huggingface" / "config.json")
    write(step / "actor" / "huggingface" / "tokenizer.json")
    for rank in range(2):
        write(step / "actor" / f"model_world_size_2_rank_{rank}.pt", f"shard {rank}")
        write(step / "actor" / f"optim_world_size_2_rank_{rank}.pt", "not read")
    return step


@pytest.fixture
def merger(monkeypatch) -> list[list[str]]:
    """verl's merger, played: joins the shards. Holds the commands it was called with."""
    called = []

    def merge(command, **_):
        called.append(command)
        options = dict(zip(command[4::2], command[5::2], strict=True))
        actor, target = Path(options["--local_dir"]), Path(options["--target_dir"])
        shards = sorted(actor.glob("model_*.pt"))
        write(target / "model.safetensors", "".join(shard.read_text() for shard in shards))
        write(target / "config.json")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(checkpoints.subprocess, "run", merge)
    return called


def test_a_hugging_face_folder_is_taken_as_it_is(tmp_path):
    write(tmp_path / "config.json")
    with pytest.raises(ValueError, match=r"a config\.json but no weights"):
        find_model(tmp_path)
    write(tmp_path / "model-00001-of-00002.safetensors")
    assert find_model(tmp_path) == tmp_path


@pytest.mark.parametrize("inside", [".", "actor"])
def test_a_checkpoint_is_merged_once(checkpoint, merger, inside):
    merged = find_model(checkpoint / inside)
    assert merged == checkpoint / "merged_hf"
    assert (merged / "model.safetensors").read_text() == "shard 0shard 1"
    (command,) = merger
    assert command[:6] == [
        *(sys.executable, "-m", "verl.model_merger", "merge"),
        *("--backend", "fsdp"),
    ]
    assert find_model(checkpoint / inside) == merged
    assert len(merger) == 1
    assert sorted(path.name for path in checkpoint.iterdir()) == ["actor", "merged_hf"]


def test_a_changed_shard_is_merged_anew(checkpoint, merger):
    merged = find_model(checkpoint)
    shard = checkpoint / "actor" / "model_world_size_2_rank_1.pt"
    before = shard.stat()
    shard.write_text("SHARD 1")  # of the same size
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert find_model(checkpoint) == merged
    assert (merged / "model.safetensors").read_text() == "shard 0SHARD 1"
    write(checkpoint / "actor" / "optim_world_size_2_rank_0.pt", "no part of the model")
    find_model(checkpoint)
    assert len(merger) == 2


def test_an_interrupted_merge_is_not_taken_for_one(checkpoint, merger, monkeypatch):
    whole = checkpoints.subprocess.run

    def fails(command, **_):
        whole(command)
        return subprocess.CompletedProcess(command, 1, "", "ValueError: a bad shard")

    monkeypatch.setattr(checkpoints.subprocess, "run", fails)
    with pytest.raises(ValueError, match=r"(?s)merger failed.*a bad shard"):
        find_model(checkpoint)
    assert [path.name for path in checkpoint.iterdir()] == ["actor"]
    write(checkpoint / "merged_hf" / "model.safetensors", "half")  # left by hand, or by a copy
    monkeypatch.setattr(checkpoints.subprocess, "run", whole)
    assert (find_model(checkpoint) / "model.safetensors").read_text() == "shard 0shard 1"


def test_a_model_saved_whole_needs_no_merging(checkpoint, merger):
    saved = checkpoint / "actor" / "huggingface"
    write(saved / "model.safetensors")
    assert find_model(checkpoint) == saved
    assert merger == []


def test_what_is_refused(checkpoint, merger, tmp_path):
    with pytest.raises(ValueError, match="no such model folder"):
        find_model(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"neither a Hugging Face model .* nor a checkpoint"):
        find_model(tmp_path)
    (checkpoint.parent / "global_step_9").mkdir()
    with pytest.raises(ValueError, match=r"such as .*global_step_20"):
        find_model(checkpoint.parent)
    (checkpoint.parent / "global_step_9" / "actor" / "model").mkdir(parents=True)
    with pytest.raises(ValueError, match="--backend megatron"):
        find_model(checkpoint.parent / "global_step_9")
    lora = write(checkpoint / "actor" / "lora_train_meta.json")
    with pytest.raises(ValueError, match="a LoRA adapter"):
        find_model(checkpoint)
    lora.unlink()
    (checkpoint / "actor" / "model_world_size_2_rank_1.pt").unlink()
    with pytest.raises(ValueError, match=r"model_world_size_2_rank_1\.pt: missing"):
        find_model(checkpoint)
    for config in ("{}", '{"world_size": "2"}', "torn"):
        write(checkpoint / "actor" / "fsdp_config.json", config)
        with pytest.raises(ValueError, match="no world_size"):
            find_model(checkpoint)
    assert merger == []


def test_checksums_cover_what_decides(tmp_path):
    for name in ("model.safetensors", "config.json", "chat_template.jinja", "README.md"):
        write(tmp_path / name, "abc")
    write(tmp_path / "merged_from.json", "when it was merged")
    # sha256 of "abc", FIPS 180-4's example
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    names = ["chat_template.jinja", "config.json", "model.safetensors"]
    assert model_checksums(tmp_path) == dict.fromkeys(names, abc)
