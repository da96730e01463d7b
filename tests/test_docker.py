"""The Dockerfiles: what they copy and call is there, and what the set-up reads comes before it."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docker").glob("Dockerfile.*"))
IGNORED = (ROOT / ".dockerignore").read_text().split()

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def instructions(file: Path) -> Iterator[tuple[str, str]]:
    """(instruction, arguments) in order, continuation lines joined."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, " ".join(rest.split())


def copied(file: Path, before: str) -> list[str]:
    """What has been copied when the command with that text is run."""
    paths: list[str] = []
    for word, rest in instructions(file):
        if word == "RUN" and before in rest:
            return paths
        if word == "COPY":
            paths += rest.split()[:-1]
    raise AssertionError(f"{file}: nothing runs {before}")


def test_there_is_one_for_gpus_and_one_without() -> None:
    assert [file.suffix for file in FILES] == [".cpu", ".gpu"]


@each_file
def test_what_is_copied_is_there(file: Path) -> None:
    known = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "ARG", "CMD"}
    assert {word for word, _ in instructions(file)} <= known
    for path in [
        path for word, rest in instructions(file) if word == "COPY" for path in rest.split()[:-1]
    ]:
        assert (ROOT / path).exists()
        assert not any(fnmatchcase(path, pattern) for pattern in IGNORED)


@each_file
def test_what_is_called_is_there(file: Path) -> None:
    called = re.findall(r"\b(?:run_scripts|requirements)/[\w.]+\.\w+", file.read_text())
    assert called
    assert [path for path in called if not (ROOT / path).is_file()] == []


def test_the_set_up_finds_all_that_it_reads() -> None:
    script = (ROOT / "run_scripts" / "setup_cpu.sh").read_text()
    listed = re.search(r"^inputs=\((.*)\)$", script, re.MULTILINE)
    assert listed is not None
    read = [path for pattern in listed[1].split() for path in ROOT.glob(pattern)]
    read += [ROOT / path for path in re.findall(r"^ +source (\S+)", script, re.MULTILINE)]
    there = [ROOT / path for path in copied(ROOT / "docker" / "Dockerfile.cpu", "setup_cpu.sh")]
    assert [path for path in read if not {path, *path.parents} & set(there)] == []


def test_packages_have_the_versions_of_the_tested_set() -> None:
    pinned = (ROOT / "requirements" / "cpu.txt").read_text().lower().replace("_", "-").split()
    assert "bfcl-eval==2026.3.23" in pinned
    assert "bfcl-eval==2026.3.23" in (ROOT / "docker" / "Dockerfile.gpu").read_text()
