"""What recorded rollouts are scored by, and whether two scorings are the same."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rest_verl
from rest_verl.algorithm.clock import Clock
from rest_verl.integration.agent_loops.options import ToolEnvironmentOptions
from rest_verl.options.assignments import read_assignments
from rest_verl.rewards import RewardConfig

_SCORING_CODE = ("syntax", "rewards", "environments", "integration", "study")
_PACKAGES = ("verl", "bfcl-eval", "transformers")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One way to score."""

    reward: RewardConfig
    """Of single turns."""
    clock: Clock | None
    """The run's, by which a schedule goes; None: it counts steps."""
    tool_env: ToolEnvironmentOptions
    """Of conversations."""
    model: str | None
    """Folder of the model whose tokenizer and chat template the run had."""
    syntax: str
    """How the model writes calls, or `auto`."""
    chat_template_kwargs: Mapping[str, Any]
    data: tuple[Path, ...]
    """Parquet files with the run's rows."""

    def schedule_step(self, step: int) -> float:
        """The step of the reward's schedule at a training step."""
        if self.clock is None:
            return float(step)
        return float(self.clock.progress(step)) * self.reward.horizon

    def fingerprint(self) -> dict[str, Any]:
        """All that a score hangs on but the rollouts: settings, files, code; JSON throughout."""
        model = None if self.model is None else _tokenizer_files(Path(self.model))
        return {
            "reward": asdict(self.reward),
            "clock": None if self.clock is None else self.clock.state(),
            "tool_env": {**asdict(self.tool_env), "task": dict(self.tool_env.task)},
            "syntax": self.syntax,
            "chat_template_kwargs": dict(self.chat_template_kwargs),
            "tokenizer": model,
            "data": [_sha256([path]) for path in self.data],
            "code": _code(),
            "packages": {name: _version(name) for name in _PACKAGES},
        }


def reward_settings(
    words: Sequence[str], total_steps: int | None
) -> tuple[RewardConfig, Clock | None]:
    """From the words of `--reward`: a preset, and options as `KEY=VALUE`.

    Args:
        words: `toolrl_scheduled horizon=150`; either part may be missing.
        total_steps: at which the run's clock is at its end.

    Raises:
        ValueError: an unknown preset or option, or a schedule that nothing says the length of.
    """
    options = read_assignments([word for word in words if "=" in word], "--reward")
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise ValueError(f"--reward {' '.join(words)}: names two presets; leave one")
    if names:
        options["preset"] = names[0]
    try:
        reward = RewardConfig.from_options(options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"--reward {' '.join(words)}: {error}") from None
    if reward.schedule == "none" or options.get("horizon") is not None:
        return reward, None
    if total_steps is None:
        raise ValueError(
            f"--reward {' '.join(words)}: its schedule goes by the run's steps; say how many those "
            "are with --total-steps N, or what the run had with horizon=H among the options"
        )
    return reward, Clock(horizon=float(total_steps))


def tool_env_settings(words: Sequence[str]) -> ToolEnvironmentOptions:
    """From the words of `--tool-env`: options of `rest_tool_env` as `KEY=VALUE`.

    Raises:
        ValueError: an unknown option, or a value that it cannot have.
    """
    return ToolEnvironmentOptions.from_mapping(read_assignments(words, "--tool-env"))


def _tokenizer_files(folder: Path) -> str:
    """Of the files that tokenizer, template and end of message come from."""
    names = ("token", "chat_template", "config", "generation", "special", "vocab", "merges")
    return _sha256(path for path in sorted(folder.iterdir()) if path.name.startswith(names))


def _code() -> str:
    """Of the code that scores: a mended reward makes other scores under the same settings."""
    root = Path(rest_verl.__file__).parent
    return _sha256(path for room in _SCORING_CODE for path in sorted((root / room).rglob("*.py")))


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
