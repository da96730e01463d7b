"""What the estimate reads from verl's composed configuration, as one flat record of numbers."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

BYTES = {"fp32": 4, "float32": 4, "float": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2}
"""Bytes of a number, by the names that verl and vLLM give its type."""


class NotCovered(ValueError):
    """The estimate has no formula for this configuration; the message says for what."""


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """How verl cuts a batch for one forward pass."""

    dynamic: bool
    """use_dynamic_bsz: by tokens, else by rows."""
    tokens: int
    """Token budget of a GPU where dynamic."""
    rows: int
    """Rows of a data-parallel rank where not dynamic."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The part of a run's configuration that decides its memory and time."""

    model_path: str
    lora_rank: int

    training_gpus: int
    standalone_gpus: int
    """GPUs that do nothing but rollout (separate_async)."""
    hybrid: bool
    """Are there rollout engines on the training GPUs?"""

    fsdp2: bool
    shards: int
    """GPUs that share one copy of parameters, gradients and optimiser state."""
    sequence_parallel: int
    master_bytes: int
    """Bytes of a stored parameter, its gradient and each of its two AdamW moments."""
    compute_bytes: int
    """Bytes of a gathered parameter, an activation and a logit."""
    param_offload: bool
    optimizer_offload: bool
    cpu_policy: bool
    """FSDP2's offload_policy: parameters, gradients and optimiser state live in host memory."""
    defers_gradients: bool
    """Whole gradients are kept until the last micro-batch of a mini-batch."""
    gathers_all: bool
    """Parameters stay gathered from forward to backward (no reshard_after_forward)."""

    checkpointing: bool
    activation_offload: bool
    fused_kernels: bool
    flash_attention: bool
    """Its package is installed; verl then takes its cross entropy too."""
    compiled_entropy: bool
    entropy_in_update: bool
    scaled_logits: bool
    """The temperature is not 1: verl keeps a scaled copy of the logits."""

    prompt_length: int
    response_length: int
    train_batch: int
    mini_batch: int
    samples: int
    """Responses to a prompt."""
    epochs_per_batch: int
    update: MicroBatch
    log_prob: MicroBatch
    reference: MicroBatch | None
    """None: no KL term, no reference model."""

    tensor_parallel: int
    pipeline_parallel: int
    utilization: float
    max_sequences: int
    max_batched_tokens: int
    rollout_bytes: int
    kv_bytes: int
    frees_cache: bool
    cuda_graphs: bool
    prefix_caching: bool
    bucket_megabytes: int

    left_out: tuple[str, ...]
    """What the run has and the estimate does not count."""

    total_epochs: int
    total_steps: int | None
    train_files: tuple[str, ...]
    train_max_samples: int

    @property
    def sequence_length(self) -> int:
        """Longest prompt and response together, in tokens."""
        return self.prompt_length + self.response_length

    @property
    def replica_gpus(self) -> int:
        """GPUs of one rollout engine."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def keeps_parameters(self) -> bool:
        """Do the stored parameters stay on the GPU while the engine generates?"""
        return not (self.param_offload or self.cpu_policy)

    @property
    def keeps_optimizer(self) -> bool:
        """Does the optimiser state stay on the GPU outside the update?"""
        return not (self.optimizer_offload or self.cpu_policy)


def _precision(name: Any, setting: str) -> int:
    key = str(name).lower()
    if key not in BYTES:
        raise NotCovered(f"{setting}={name}")
    return BYTES[key]


def _files(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(file) for file in value)


def read_settings(config: DictConfig) -> Settings:
    """The settings of a composed `ppo_trainer` configuration.

    Raises:
        NotCovered: Another training engine than FSDP, a critic, or no micro-batch size.
    """

    def get(path: str, default: Any = None) -> Any:
        value = OmegaConf.select(config, path)  # None for a null, a ??? and a missing key
        return default if value is None else value

    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    model, fsdp = "actor_rollout_ref.model", f"{actor}.fsdp_config"
    strategy = get(f"{actor}.strategy")
    if strategy not in ("fsdp", "fsdp2"):
        raise NotCovered(f"{actor}.strategy={strategy}: only fsdp and fsdp2 are covered")
    if get("critic.enable", get("algorithm.adv_estimator") == "gae"):
        raise NotCovered("a critic (algorithm.adv_estimator=gae or critic.enable) is not covered")

    training_gpus = get("trainer.nnodes", 1) * get("trainer.n_gpus_per_node", 1)
    fsdp_size = get(f"{fsdp}.fsdp_size", -1)
    sequence_parallel = max(
        get(f"{actor}.ulysses_sequence_parallel_size", 1),
        get(f"{fsdp}.ulysses_sequence_parallel_size", 1),
    )
    ranks = max(1, training_gpus // sequence_parallel)

    def micro_batch(where: str, prefix: str, dynamic: str, budget: str) -> MicroBatch:
        by_tokens = bool(get(f"{where}.{dynamic}", False))
        rows = get(f"{where}.{prefix}micro_batch_size_per_gpu", 0)
        if not rows:  # verl's older name counts the rows of all ranks
            rows = get(f"{where}.{prefix}micro_batch_size", 0) // ranks
        if not by_tokens and not rows:
            raise NotCovered(f"no {where}.{prefix}micro_batch_size_per_gpu and no {dynamic}")
        return MicroBatch(dynamic=by_tokens, tokens=get(f"{where}.{budget}", 0), rows=rows)

    inference = ("log_prob_", "log_prob_use_dynamic_bsz", "log_prob_max_token_len_per_gpu")
    # LoRA's reference is the actor without its adapter, and cuts batches as the actor does.
    reference = rollout if get(f"{model}.lora_rank", 0) else "actor_rollout_ref.ref"
    with_kl = get(f"{actor}.use_kl_loss", False) or get("algorithm.use_kl_in_reward", False)
    if get(f"{model}.lora_adapter_path") and not get(f"{model}.lora_rank", 0):
        raise NotCovered(f"{model}.lora_adapter_path without {model}.lora_rank")

    longest = get("data.max_prompt_length", 512) + get("data.max_response_length", 512)
    budget = get(f"{actor}.ppo_max_token_len_per_gpu", 0) * sequence_parallel
    dynamic = get(f"{actor}.use_dynamic_bsz", False)
    padded = not get(f"{model}.use_remove_padding", True)
    optimizer = str(get(f"{actor}.optim.optimizer", "AdamW"))
    left_out = {
        f"sequences beyond the {budget:,} tokens of ppo_max_token_len_per_gpu: verl stops at one": (
            dynamic and budget < longest
        ),
        "padding of rows of unequal length (use_remove_padding=False)": dynamic and padded,
        f"optimiser {optimizer}: counted as AdamW": optimizer.lower().strip("_") != "adamw",
        "a reward model": get("reward.reward_model.enable", False),
        "a distillation teacher": get("distillation.enabled", False),
    }

    separate = str(get("trainer.v1.trainer_mode", "")).endswith("separate_async")
    standalone = get(f"{rollout}.nnodes", 0) * get(f"{rollout}.n_gpus_per_node", 0)
    attention = get(f"{model}.override_config.attn_implementation", "flash_attention_2")
    dtype = get(f"{rollout}.dtype", "bfloat16")
    kv_dtype = str(get(f"{rollout}.engine_kwargs.vllm.kv_cache_dtype", "auto"))
    compute = get(f"{fsdp}.mixed_precision.param_dtype", "bf16")
    return Settings(
        model_path=str(get(f"{model}.path", "")),
        lora_rank=get(f"{model}.lora_rank", 0),
        training_gpus=training_gpus,
        standalone_gpus=standalone if separate else 0,
        hybrid=not separate or bool(get("actor_rollout_ref.hybrid_engine", True)),
        fsdp2=strategy == "fsdp2",
        shards=fsdp_size if 0 < fsdp_size < training_gpus else training_gpus,
        sequence_parallel=sequence_parallel,
        master_bytes=_precision(get(f"{fsdp}.model_dtype", "fp32"), f"{fsdp}.model_dtype"),
        compute_bytes=_precision(compute, f"{fsdp}.mixed_precision.param_dtype"),
        param_offload=get(f"{fsdp}.param_offload", False),
        optimizer_offload=get(f"{fsdp}.optimizer_offload", False),
        cpu_policy=strategy == "fsdp2" and get(f"{fsdp}.offload_policy", False),
        defers_gradients=get(f"{fsdp}.use_no_sync_for_gradient_accumulation", False),
        gathers_all=not get(f"{fsdp}.reshard_after_forward", True),
        checkpointing=get(f"{model}.enable_gradient_checkpointing", True),
        activation_offload=get(f"{model}.enable_activation_offload", False),
        fused_kernels=get(f"{model}.use_fused_kernels", False),
        flash_attention=str(attention).startswith("flash_attention"),
        # Without remove_padding verl calls the plain function.
        compiled_entropy=get(f"{fsdp}.use_torch_compile", True) and not padded,
        entropy_in_update=bool(
            get(f"{actor}.calculate_entropy", False) or get(f"{actor}.entropy_coeff", 0)
        ),
        scaled_logits=get(f"{rollout}.temperature", 1.0) != 1.0,
        prompt_length=get("data.max_prompt_length", 512),
        response_length=get("data.max_response_length", 512),
        train_batch=get("data.train_batch_size", 1024),
        mini_batch=get(f"{actor}.ppo_mini_batch_size", 256),
        samples=get(f"{rollout}.n", 1),
        epochs_per_batch=get(f"{actor}.ppo_epochs", 1),
        update=micro_batch(actor, "ppo_", "use_dynamic_bsz", "ppo_max_token_len_per_gpu"),
        log_prob=micro_batch(rollout, *inference),
        reference=micro_batch(reference, *inference) if with_kl else None,
        tensor_parallel=get(f"{rollout}.tensor_model_parallel_size", 1),
        pipeline_parallel=get(f"{rollout}.pipeline_model_parallel_size", 1),
        utilization=get(f"{rollout}.gpu_memory_utilization", 0.5),
        max_sequences=get(f"{rollout}.max_num_seqs", 256),
        max_batched_tokens=get(f"{rollout}.max_num_batched_tokens", 8192),
        rollout_bytes=_precision(dtype, f"{rollout}.dtype"),
        kv_bytes=1 if kv_dtype.startswith("fp8") else BYTES[str(dtype)],
        frees_cache=get(f"{rollout}.free_cache_engine", True),
        cuda_graphs=not get(f"{rollout}.enforce_eager", False),
        prefix_caching=get(f"{rollout}.enable_prefix_caching", True),
        bucket_megabytes=get(f"{rollout}.checkpoint_engine.update_weights_bucket_megabytes", 2048),
        left_out=tuple(what for what, present in left_out.items() if present),
        total_epochs=get("trainer.total_epochs", 1),
        total_steps=get("trainer.total_training_steps"),
        train_files=_files(get("data.train_files")),
        train_max_samples=get("data.train_max_samples", -1),
    )
