"""The folder that a tiny run starts from, made once and reused while its recipe stays the same."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

DONE = "complete.json"


def fingerprint(sources: Iterable[Path]) -> str:
    """Of everything that decides the result: the recipe's own code."""
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_complete(folder: Path, recipe: str) -> bool:
    """True if `folder` was completed by the recipe of this fingerprint."""
    try:
        return json.loads((folder / DONE).read_text())["recipe"] == recipe
    except (OSError, ValueError, KeyError):
        return False


def make_once(folder: Path, recipe: str, make: Callable[[Path], None]) -> None:
    """Lets `make` fill a folder beside `folder`, and moves it there when it is complete."""
    if is_complete(folder, recipe):
        print(f"reusing {folder}")
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    make(partial)
    (partial / DONE).write_text(json.dumps({"recipe": recipe}))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
