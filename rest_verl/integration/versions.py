"""The code that runs here: versions of packages, and commits where it lies in a git checkout."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path

import rest_verl

PACKAGES = ("rest-verl", "verl", "vllm", "transformers", "torch")
"""Whose versions have a part in what is generated and trained."""
_SECONDS = 10
"""For git, which a folder on a slow network can hold up."""


def package_versions() -> dict[str, str | None]:
    """Version of each of `PACKAGES`; None where it is not installed."""
    return {name: _version(name) for name in PACKAGES}


def commits() -> dict[str, str | None]:
    """Commit of this package's code and of the folder where the command was started.

    `+changes` behind it says that tracked files differ; None: not under git.
    """
    package = Path(rest_verl.__file__)
    is_tracked = _git(package.parent, "ls-files", "--error-unmatch", package.name) is not None
    return {
        "rest_verl": _commit(package.parent) if is_tracked else None,
        "started_in": _commit(Path.cwd()),
    }


def _commit(folder: Path) -> str | None:
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit + "+changes" * bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):  # no git here
        return None
    return None if done.returncode else done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
