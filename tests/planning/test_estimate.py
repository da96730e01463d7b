"""What the estimate says of whole runs, composed from verl's own configuration."""

import subprocess
import sys
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from rest_verl.planning import describe, estimate
from rest_verl.planning.gpus import GPUS
from rest_verl.planning.throughput import MFU, forward_flops

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
MODEL, FSDP = "actor_rollout_ref.model", "actor_rollout_ref.actor.fsdp_config"
SEPARATE = {
    "trainer.v1.trainer_mode": "rest_separate_async",
    f"{ROLLOUT}.nnodes": 1,
    f"{ROLLOUT}.n_gpus_per_node": 2,
}
EIGHT_B_ON_TWO = {f"{MODEL}.path": "Qwen/Qwen3-8B", "trainer.n_gpus_per_node": 2}


def test_the_papers_run_by_hand(config) -> None:
    """Qwen3-4B has 4,022,468,096 parameters; 16,384 tokens a micro-batch; 151,936 entries."""
    run = estimate(config({}))
    update, rollout = run.phases.update, run.phases.rollout
    assert update.parameters == pytest.approx(4_022_468_096 * 4 / 8 / 2**30)
    assert update.gradients == update.parameters
    assert update.optimizer == 2 * update.parameters
    assert update.moment == "logits"
    assert update.logits == 16_384 * 151_936 * 2 / 2**30  # bf16, overwritten by their gradient
    assert rollout.engine_weights == pytest.approx(4_022_468_096 * 2 / 2**30)
    # vLLM's share is half of the GPU; beside it stand the CUDA graphs
    share = rollout.engine_weights + rollout.kv_cache + rollout.engine_work - 1.0
    assert share == pytest.approx(79.1 / 2)
    assert run.engine.kv_bytes_per_token == 2 * 8 * 128 * 2 * 36
    assert run.engine.full_sequences == run.engine.kv_tokens // 4096 == 54
    assert run.fits is True


def test_seconds_of_the_update_by_hand(config) -> None:
    run = estimate(config({}))
    # six operations a parameter and token, two more for the recomputed forward pass; attention's
    # causal S² · heads · head_dim · layers: 2 forward, 4 backward, 2 again; norms multiply too
    tokens = 512 * 4 * 4096
    flops = 8 * 4_022_468_096 * tokens + 8 * 512 * 4 * 4096**2 * 4096 * 36
    assert run.longest.update_flops == pytest.approx(flops, rel=1e-6)
    assert run.longest.update == pytest.approx(flops / (8 * 989e12 * MFU), rel=1e-6)
    assert run.longest.log_prob == pytest.approx(run.longest.update / 4)
    assert run.longest.tokens == tokens


def test_forward_operations_match_a_count_of_the_matrix_products(config) -> None:
    shape = estimate(config({})).shape
    per_token = sum(2 * rows * columns for rows, columns in shape.linear_shapes) * shape.layers
    per_token += 2 * shape.vocab * shape.hidden
    assert forward_flops(shape, 3, 1) == pytest.approx(3 * per_token, rel=1e-3)


# overrides, then (phase, part, factor against the recipe without them)
SCALED = [
    ({"trainer.nnodes": 2}, "update", "parameters", 1 / 2),
    ({f"{FSDP}.fsdp_size": 4}, "update", "optimizer", 2),  # shards of 4, two copies
    ({f"{FSDP}.model_dtype": "bf16"}, "update", "gradients", 1 / 2),
    ({f"{ACTOR}.ulysses_sequence_parallel_size": 2}, "update", "logits", 1),  # budget is a GPU's
    ({f"{ACTOR}.ppo_max_token_len_per_gpu": 8192}, "log_prob", "logits", 1 / 2),
    ({f"{ACTOR}.entropy_coeff": 0.001}, "update", "logits", 3),
    ({f"{ROLLOUT}.temperature": 0.7}, "update", "logits", 2),
    ({f"{FSDP}.param_offload": True}, "update", "parameters", 1),  # brought back for the update
    ({f"{FSDP}.param_offload": True}, "rollout", "parameters", 0),
    ({f"{FSDP}.optimizer_offload": True}, "update", "optimizer", 1),
    ({f"{FSDP}.optimizer_offload": True}, "log_prob", "optimizer", 0),
    ({f"{ACTOR}.strategy": "fsdp2", f"{FSDP}.offload_policy": True}, "update", "optimizer", 0),
    ({f"{ROLLOUT}.tensor_model_parallel_size": 2}, "rollout", "engine_weights", 1 / 2),
    ({f"{ROLLOUT}.dtype": "float32"}, "rollout", "engine_weights", 2),
]


@pytest.mark.parametrize(("overrides", "phase", "part", "factor"), SCALED)
def test_a_setting_scales_a_part(config, overrides, phase, part, factor) -> None:
    def value(run) -> float:
        return getattr(getattr(run.phases, phase), part)

    plain = value(estimate(config({})))
    assert value(estimate(config(overrides))) == pytest.approx(factor * plain, rel=0.002)


def test_fixed_micro_batches_count_rows(config) -> None:
    rows = {
        f"{ACTOR}.use_dynamic_bsz": False,
        f"{ACTOR}.entropy_coeff": 0.001,  # 6 bytes a logit: the worst moment stays there
        f"{ACTOR}.ppo_micro_batch_size_per_gpu": 2,
        f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": 8,
    }
    run = estimate(config(rows))
    assert run.phases.update.logits == 2 * 4096 * 151_936 * 6 / 2**30
    halved = estimate(config({**rows, f"{ACTOR}.ulysses_sequence_parallel_size": 2}))
    assert halved.phases.update.logits == run.phases.update.logits / 2


def test_a_small_batch_cannot_fill_the_budget(config) -> None:
    small = {f"{ACTOR}.ppo_mini_batch_size": 2, f"{ACTOR}.entropy_coeff": 0.001}
    run = estimate(config(small))  # 2 · 4 rows on 8 GPUs
    assert run.phases.update.logits == 4096 * 151_936 * 6 / 2**30


def test_checkpointing_trades_memory_for_a_forward_pass(config) -> None:
    with_it, without = (
        estimate(config({f"{MODEL}.enable_gradient_checkpointing": on})) for on in (True, False)
    )
    assert without.phases.update.activations > 10 * with_it.phases.update.activations
    assert with_it.longest.update == pytest.approx(without.longest.update * 4 / 3)


def test_fused_kernels_take_the_logits_off_the_peak(config) -> None:
    entropy = {f"{ACTOR}.entropy_coeff": 0.001}
    plain = estimate(config(entropy)).phases.update
    fused = estimate(config({**entropy, f"{MODEL}.use_fused_kernels": True})).phases.update
    assert (plain.moment, fused.moment) == ("logits", "layer")
    assert fused.total < plain.total - 8


def test_lora_trains_little_and_keeps_the_base(config) -> None:
    run = estimate(config({f"{MODEL}.lora_rank": 32, f"{ACTOR}.use_kl_loss": True}))
    plain = estimate(config({}))
    assert run.phases.update.gradients < 0.02 * plain.phases.update.gradients
    assert run.phases.update.parameters > plain.phases.update.parameters
    assert run.phases.reference.parameters == run.phases.log_prob.parameters  # the actor itself
    # its sleeping engines keep their weights in host memory
    assert run.host_gib == pytest.approx(8 * 4_022_468_096 * 2 / 2**30)


def test_a_kl_term_brings_a_reference_in_host_memory(config) -> None:
    run = estimate(config({f"{ACTOR}.use_kl_loss": True, f"{FSDP}.param_offload": True}))
    assert run.phases.reference.parameters == 0
    assert run.phases.reference.logits == pytest.approx(run.phases.log_prob.logits)
    assert run.host_gib == pytest.approx(2 * 4_022_468_096 * 4 / 2**30)  # actor and reference
    assert run.typical.reference == run.typical.log_prob


def test_an_engine_that_does_not_free_its_cache_stays_beside_the_update(config) -> None:
    kept = estimate(config({f"{ROLLOUT}.free_cache_engine": False}))
    more = kept.phases.update.total - estimate(config({})).phases.update.total
    assert more == pytest.approx(79.1 / 2)


def test_separate_pools(config) -> None:
    alone = estimate(config({**SEPARATE, "actor_rollout_ref.hybrid_engine": False}))
    assert alone.phases.rollout is None
    assert alone.phases.weight_sync is None
    assert alone.phases.standalone.parameters == 0
    assert alone.typical.step == alone.typical.rollout  # two GPUs generate for eight
    lent = estimate(config(SEPARATE))
    assert lent.phases.rollout.kv_cache == lent.phases.standalone.kv_cache
    hybrid = estimate(config({**SEPARATE, "trainer.v1.trainer_mode": "rest_sync"}))
    assert hybrid.phases.standalone is None


# GPU, overrides: none of them fits
TOO_MUCH = [
    ("h100-80", EIGHT_B_ON_TWO),
    ("l4", {f"{MODEL}.path": "Qwen/Qwen3-8B", "trainer.n_gpus_per_node": 4}),
    ("a100-40", {f"{MODEL}.path": "Qwen/Qwen3-14B", f"{MODEL}.use_fused_kernels": True}),
    ("h100-80", {f"{MODEL}.enable_gradient_checkpointing": False}),
    ("rtx4090", {"trainer.n_gpus_per_node": 1, f"{MODEL}.lora_rank": 32}),
    ("h100-80", {f"{ROLLOUT}.gpu_memory_utilization": 0.1}),  # no cache at all
    (
        "h100-80",
        {
            **EIGHT_B_ON_TWO,
            f"{ACTOR}.use_kl_loss": True,
            f"{ACTOR}.use_dynamic_bsz": False,
            f"{ACTOR}.ppo_micro_batch_size_per_gpu": 16,
            f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": 64,
            "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": 64,
        },
    ),
]


@pytest.mark.parametrize(("gpu", "overrides"), TOO_MUCH)
def test_with_the_changes_advised_it_fits(config, monkeypatch, gpu, overrides) -> None:
    tree = config(overrides)
    monkeypatch.setenv("REST_GPU", gpu)
    run = estimate(tree)
    assert run.fits is False
    assert run.problems
    assert run.changes
    last = describe(run).splitlines()[-1]
    assert last.startswith("Does not fit")
    assert all(change in last for change in run.changes)
    changed = OmegaConf.merge(tree, OmegaConf.from_dotlist(list(run.changes)))
    assert estimate(changed).fits is True


def test_where_nothing_helps_it_says_so(config, monkeypatch) -> None:
    tree = config({f"{MODEL}.path": "Qwen/Qwen3-14B", "trainer.n_gpus_per_node": 1})
    monkeypatch.setenv("REST_GPU", "l4")
    run = estimate(tree)
    assert run.fits is False
    assert run.changes == ()
    assert "more or larger GPUs" in describe(run).splitlines()[-1]


UNKNOWN = [
    ({f"{MODEL}.path": "org/other"}, "unknown model: no org/other/config.json"),
    ({"algorithm.adv_estimator": "gae"}, "a critic"),
    ({f"{ACTOR}.strategy": "megatron"}, "strategy=megatron"),
    ({f"{ACTOR}.use_dynamic_bsz": False}, "no actor_rollout_ref.actor.ppo_micro_batch_size"),
    ({f"{FSDP}.model_dtype": "int3"}, "model_dtype=int3"),
]


@pytest.mark.parametrize(("overrides", "reason"), UNKNOWN)
def test_unknown_is_said_not_raised(config, overrides, reason) -> None:
    run = estimate(config(overrides))
    assert run.fits is None
    assert describe(run).splitlines()[-1].startswith(f"No estimate: {run.unknown}")
    assert reason in run.unknown


NOT_COUNTED = [
    ({f"{ACTOR}.ppo_max_token_len_per_gpu": 2048}, "verl stops at one"),
    ({f"{MODEL}.use_remove_padding": False}, "padding"),
    ({f"{ACTOR}.optim.optimizer": "AdamW8bit"}, "AdamW8bit"),
    ({"reward.reward_model.enable": True}, "a reward model"),
    ({"distillation.enabled": True}, "a distillation teacher"),
]


@pytest.mark.parametrize(("overrides", "words"), NOT_COUNTED)
def test_what_is_left_out_is_said(config, overrides, words) -> None:
    (line,) = (
        line
        for line in describe(estimate(config(overrides))).splitlines()
        if line.startswith("not in it")
    )
    assert words in line


def test_description_is_short_and_ends_with_the_verdict(config) -> None:
    crowded = config({**SEPARATE, f"{ACTOR}.use_kl_loss": True, f"{FSDP}.param_offload": True})
    lines = describe(estimate(crowded)).splitlines()
    assert len(lines) <= 25
    assert lines[-1].startswith("Fits on 8 + 2 for rollout × h100-80")
    header = lines[1].split()
    assert header[-7:] == ["update", "log-prob", "reference", "sync", "rollout", "own", "pool"]
    assert any(line.startswith("assumed: 35% of peak operations") for line in lines)


def test_totals_are_the_sums_of_the_columns(config) -> None:
    table = describe(estimate(config({}))).splitlines()[2:]
    end = next(i for i, line in enumerate(table) if line.startswith("total"))
    places = [19, 27, 37, 45, 54]  # where the columns end: labels, update, log-prob, sync, rollout
    columns = [
        [float(line[start:stop].strip() or 0) for line in table[: end + 1]]
        for start, stop in pairwise(places)
    ]
    for *parts, total in columns:
        assert total > 0
        assert sum(parts) == pytest.approx(total, abs=0.05 * len(parts) + 0.05)


@pytest.mark.parametrize("gpu", GPUS)
def test_every_gpu_can_be_named(config, monkeypatch, gpu) -> None:
    tree = config({})
    monkeypatch.setenv("REST_GPU", gpu.upper())
    run = estimate(tree)
    assert run.gpu is GPUS[gpu]
    assert run.phases.rollout.total < run.gpu.memory + 20


def test_unknown_gpu_names_the_known_ones(config, monkeypatch) -> None:
    tree = config({})
    monkeypatch.setenv("REST_GPU", "b9000")
    with pytest.raises(ValueError, match=r"REST_GPU=b9000.*h100-80.*rtx4090"):
        estimate(tree)


def test_steps_from_the_training_file(config, tmp_path) -> None:
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"prompt": list(range(1100))}), file)
    epochs = {"trainer.total_training_steps": None, "trainer.total_epochs": 15}
    read = {**epochs, "data.train_files": [str(file), str(file)]}
    assert estimate(config(read)).steps == 2200 // 512 * 15
    assert estimate(config({**read, "data.train_max_samples": 600})).steps == 15
    assert "run: 60 steps" in describe(estimate(config(read)))
    file.write_bytes(b"cut off")
    for files in ([str(file)], [str(tmp_path / "absent.parquet")]):
        run = estimate(config({**epochs, "data.train_files": files}))
        assert run.steps is None
        assert "run: unknown" in describe(run)


def test_needs_neither_torch_nor_verl() -> None:
    code = "import sys, rest_verl.planning; print({'torch', 'verl', 'pyarrow'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"
