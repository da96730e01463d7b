"""Is it known how a run's answers are written? Asked in the driver, before Ray or a worker starts.

What is not at hand there, a model of a hub or data that is no parquet, the trainer looks at again
before it starts a worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from rest_verl.integration.run_syntax import MODEL, RunSyntaxes, asked_syntax

_COLUMNS = ("extra_info.syntax", "extra_info.prompt_style", "reward_model.ground_truth")


def describe_syntax(config: Any) -> str:
    """The line for the log that says how answers are read; "" if that cannot be told here.

    Args:
        config: verl's composed `ppo_trainer` config.

    Raises:
        ValueError: no such syntax, or rows leave it to a model whose template does not tell.
    """
    model = OmegaConf.select(config, MODEL)
    files = _files(OmegaConf.select(config, "data.train_files"))
    if OmegaConf.select(config, "reward.reward_manager.name") == "rest":  # reads all of them
        files += _files(OmegaConf.select(config, "data.val_files"))
    asked = asked_in_files(files)
    if asked is None or not model:
        return ""
    tokenizer = None
    if "" in asked:
        tokenizer = local_tokenizer(config)
        if tokenizer is None:
            return ""
    return RunSyntaxes.of_run(config, tokenizer).describe(asked)


def local_tokenizer(config: Any) -> Any:
    """The tokenizer of a model in a folder here, with the run's own template; None if elsewhere."""
    settings = OmegaConf.select(config, "actor_rollout_ref.model")
    folder = Path(str(settings.get("tokenizer_path") or settings.path)).expanduser()
    if not folder.is_dir():
        return None
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=bool(settings.get("trust_remote_code"))
        )
    except (OSError, ValueError):  # verl says what is wrong with the folder
        return None
    if settings.get("custom_chat_template"):
        tokenizer.chat_template = settings.custom_chat_template
    return tokenizer


def asked_in_files(files: Iterable[Path]) -> set[str] | None:
    """What the rows of parquet files ask for (`asked_syntax`); None if a file is not to be read."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    asked: set[str] = set()
    for file in files:
        try:
            parquet = pq.ParquetFile(file)  # unlike read_table, it keeps nested columns nested
            schema = parquet.schema_arrow
            present = [
                name
                for name in _COLUMNS
                if (top := name.partition(".")[0]) in schema.names
                and schema.field(top).type.num_fields
                and schema.field(top).type.get_field_index(name.partition(".")[2]) >= 0
            ]
            rows = parquet.read(columns=present).to_pylist() if present else [{}]
        except (OSError, ArrowException):
            return None
        asked |= {
            asked_syntax(row.get("extra_info"), (row.get("reward_model") or {}).get("ground_truth"))
            for row in rows
        }
    return asked


def _files(files: Any) -> list[Path]:
    names = [files] if isinstance(files, str) else list(files or ())
    return [Path(str(name)).expanduser() for name in names]
