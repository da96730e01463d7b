"""The documentation taken apart: pages, links, headings, code spans, blocks, commands."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path for pattern in ("*.md", "docs/*.md", "recipes/*/*.md") for path in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CONTROL = re.compile(r"(for|do|done|case|esac)\b|\w+\) ")
"""Shell lines that only steer others."""


class Command(NamedTuple):
    """One line of a bash block, continuation lines joined, its comment gone."""

    page: Path
    text: str

    @property
    def id(self) -> str:
        return f"{name(self.page)}: {self.text}"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks in that language."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for written, text in found if written == language]


def links(page: Path) -> list[tuple[str, str]]:
    """(text, target) of every link and picture."""
    return _LINK.findall(prose(page))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    slugs = [re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(prose(page))]
    return frozenset(slug.replace(" ", "-") for slug in slugs)


def spans(page: Path) -> list[str]:
    """The code spans, line breaks in them as spaces."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose(page))]


def commands() -> Iterator[Command]:
    """Every command in a bash block of any page."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                text = " ".join(re.sub(r"(^|\s)#.*", "", line).split())
                if text and not _CONTROL.match(text):
                    yield Command(page, text)


def words(text: str) -> tuple[dict[str, str], list[str]]:
    """(variables set in front, the command and its arguments) of a command."""
    given = shlex.split(text)
    variables: dict[str, str] = {}
    while given and re.fullmatch(r"[A-Z_]+=.*", given[0]):
        key, _, variables[key] = given.pop(0).partition("=")
    return variables, given
