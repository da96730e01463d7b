"""What is installed is whole, files and metadata, and what messages say to install is there."""

import configparser
import re
import shlex
import shutil
import tarfile
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import build_meta

import rest_verl

ROOT = Path(__file__).parents[1]
PACKAGES = ("rest_verl", "hydra_plugins")
INSTALL = re.compile(r"pip install((?: +[-.\w'\[\]=/]+)+)")
LOGGERS = {"mlflow", "trackio"}  # of the user's choice, and no requirement of ours
NEEDED = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def sources(root: Path) -> set[str]:
    """All files of the packages, as paths below `root`."""
    files = (path for package in PACKAGES for path in (root / package).rglob("*"))
    return {path.relative_to(root).as_posix() for path in files if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, set[str]]:
    """A wheel, a source distribution and the files that they are of; built in a copy."""
    copy, output = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    for name in NEEDED:
        shutil.copy(ROOT / name, copy)
    files = sources(copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(copy)
        wheel = output / build_meta.build_wheel(str(output))
        sdist = output / build_meta.build_sdist(str(output))
    return wheel, sdist, files


def test_the_wheel_holds_all_files_and_no_others(built) -> None:
    wheel, _, files = built
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == files


def test_the_source_distribution_builds_the_same(built) -> None:
    _, sdist, files = built
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files | set(NEEDED) <= names


def test_the_metadata(built) -> None:
    wheel, *_ = built
    with ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        entry_points = configparser.ConfigParser()
        entry_points.read_string(archive.read(f"{folder}/entry_points.txt").decode())
    assert (metadata["Name"], metadata["Version"]) == ("rest-verl", rest_verl.__version__)
    assert metadata["License-File"] == "LICENSE"
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    assert {r.name for r in needed if r.marker is None} >= {"torch", "matplotlib", "rich", "typer"}
    verl = {str(r.specifier) for r in needed if r.name == "verl"}
    assert verl == {"==0.9.1"}  # of the extras only: beside a verl that is there nothing is changed
    assert not [r for r in needed if r.name == "verl" and r.marker is None]
    assert dict(entry_points["console_scripts"]) == {"rest-verl": "rest_verl.cli:main"}
    assert {"verl.plugins", "vllm.general_plugins"} <= set(entry_points.sections())


def commands_to_install() -> set[str]:
    """What follows `pip install` in messages and on pages, as far as it is no variable."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/*/*.md")]
    files = [*(ROOT / "rest_verl").rglob("*.py"), *pages]
    return {found for file in files for found in INSTALL.findall(file.read_text(encoding="utf-8"))}


def test_mends_name_what_exists() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = [line for path in (ROOT / "requirements").glob("*.txt") for line in path.open()]
    pinned = {canonicalize_name(Requirement(line).name) for line in lines if line[0].isalpha()}
    unknown = []
    for command in commands_to_install():
        for word in filter(lambda word: not word.startswith("-"), shlex.split(command)):
            if extra := re.fullmatch(r"\.(?:\[(\w+)\])?", word):
                is_there = extra[1] is None or extra[1] in setup["options.extras_require"]
            elif word.endswith(".txt"):
                is_there = (ROOT / word).is_file()
            else:
                name = Requirement(word.rstrip("=")).name
                is_there = canonicalize_name(name) in pinned | LOGGERS
            unknown += [] if is_there else [f"pip install{command}"]
    assert len(commands_to_install()) > 8
    assert unknown == []
