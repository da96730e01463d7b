# Sourced by the scripts that run verl without an accelerator.
export VERL_PLATFORM=cpu
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1}  # GiB
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}  # Ray gives each actor one thread otherwise
export TOKENIZERS_PARALLELISM=false
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0
export RAY_USAGE_STATS_ENABLED=0 VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1
