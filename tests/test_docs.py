"""What the documentation refers to exists: links, files, names, options, messages, examples."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from docs_pages import PAGES, ROOT, anchors, blocks, links, name, prose, spans
from omegaconf import DictConfig, OmegaConf

from rest_verl.algorithm.presets import PRESETS
from rest_verl.integration.dry_run import compose_config
from rest_verl.integration.overrides import check_values
from rest_verl.rewards import tool_call_reward

DOCS = ROOT / "docs"
FOLDERS = ("benchmarks", "data_prep", "docs", "recipes", "rest_verl", "run_scripts", "tests")
SUFFIXES = {".py", ".sh", ".sbatch", ".yaml"}
# Of ToolRL and the released ResT code.
FOREIGN = {
    "recipe/custom/token_weighting.py",
    "verl/utils/reward_score/rlla.py",
    "train_ResT.sh",
    "config.yaml",  # in the folder of a run
}
OUTPUTS = {".json", ".jsonl", ".parquet", ".html", ".png", ".txt", ".md"}
# Columns of a row; packages.
NO_OPTIONS = {"extra_info", "reward_model", "torch", "rest_verl", "recipes"}
# Messages that come from no Python or shell source here.
OUTSIDE = {
    "operator torchvision::nms does not exist": "torch's C++ code",
    "Illegal instruction": "the operating system",
    "No module named 'matplotlib'": "Python itself",
}
OPTION = re.compile(r"(\+{0,2})([a-z]\w*(?:\.\w+)+)(?:\.\*)?(?:=(.*))?")
GROUP = re.compile(r"\+\w+=[\w<>]+")

each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def none_of(failures: list) -> None:
    assert failures == []


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    def leads_nowhere(target: str) -> bool:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        return not file.exists() or (bool(anchor) and anchor not in anchors(file))

    inside = [target for _, target in links(page) if not re.match(r"https?://", target)]
    none_of([target for target in inside if leads_nowhere(target)])


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    linked = {
        (ROOT / target.partition("#")[0]).resolve() for _, target in links(ROOT / "README.md")
    }
    none_of([name(page) for page in DOCS.glob("*.md") if page not in linked])


@cache
def sources() -> dict[str, str]:
    """Path -> text of our own source files."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    found = {name(path): path for path in paths if path.suffix in SUFFIXES and path.is_file()}
    return {key: path.read_text(encoding="utf-8") for key, path in found.items()}


@cache
def product() -> str:
    """All that is no test, as one text."""
    return "\n".join(text for path, text in sources().items() if not path.startswith("tests/"))


def without_braces(text: str) -> list[str]:
    """`a_{b,c}` as [`a_b`, `a_c`]."""
    match = re.search(r"\{([^{}]*)\}", text)
    if not match:
        return [text]
    head, tail = text[: match.start()], text[match.end() :]
    return [way for part in match[1].split(",") for way in without_braces(head + part + tail)]


@each_page
def test_files_exist(page: Path) -> None:
    known = {Path(path).name for path in sources()}
    missing = []
    for word in {word for span in spans(page) for word in span.split()} - FOREIGN:
        if "<" in word or "…" in word:
            continue
        for path in without_braces(word):
            if path.split("/")[0] in FOLDERS and "/" in path:
                missing += [] if list(ROOT.glob(path)) else [path]
            elif Path(path).suffix in SUFFIXES and path not in SUFFIXES:
                missing += [] if path in known else [path]
    none_of(missing)


@cache
def defined(path: Path) -> frozenset[str]:
    """Names that a module defines or imports, those inside its classes and functions too."""
    found = {path.stem}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.alias():
                found.add(node.name)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
    return frozenset(found)


def is_ours(dotted: str) -> bool:
    """Whether a dotted name that begins with `rest_verl` or `recipes` is a module or in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return set(parts[length:]) <= defined(file)
    return False


@each_page
def test_names_of_the_code_exist(page: Path) -> None:
    missing = []
    for text, target in links(page):
        if text.startswith("`") and target.endswith(".py") and not text.endswith(".py`"):
            names = set(text.strip("`").split("."))
            missing += [(text, target)] if names - defined((page.parent / target).resolve()) else []
    for span in spans(page):
        if match := re.match(r"(?:rest_verl|recipes)(?:\.\w+)+", span):
            missing += [] if is_ours(match[0]) else [span]
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rest_verl"):
                dotted = [f"{node.module}.{alias.name}" for alias in node.names]
                missing += [name for name in dotted if not is_ours(name)]
    none_of(missing)


@pytest.fixture(scope="module")
def config() -> DictConfig:
    """verl's configuration with all that is ours, and what only the tiny recipe sets."""
    groups = ["+rest=paper", "+tool_env=bfcl", "actor_rollout_ref.model.path=x"]
    ours = [
        OmegaConf.load(ROOT / path)
        for path in ("recipes/tiny_cpu/tiny_cpu.yaml", "rest_verl/config/rest/paper.yaml")
    ]
    composed, _ = compose_config(groups)
    OmegaConf.set_struct(composed, False)
    for more in ours:
        more.pop("defaults", None)
    merged = OmegaConf.merge(*ours, composed)
    assert isinstance(merged, DictConfig)
    return merged


def paths(section: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, section):
        yield f"{prefix}{key}"
        node = section._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            yield from paths(node, f"{prefix}{key}.")


@each_page
def test_options_exist_and_take_such_values(page: Path, config: DictConfig) -> None:
    """An option may be written without its first sections, where the page has named them."""
    known = set(paths(config))
    texts = {text for text, _ in links(page)}
    wrong = []
    for span in spans(page):
        matches = [OPTION.fullmatch(word) for word in span.split() if not GROUP.fullmatch(word)]
        if f"`{span}`" in texts or None in matches:
            continue  # the name of a function, or prose
        for match in filter(None, matches):
            added, path, value = match.groups()
            head = path.split(".")[0]
            if head in NO_OPTIONS or Path(path).suffix in SUFFIXES | OUTPUTS:
                continue
            wanted = path.rpartition(".")[0] if added else path
            if not any(f".{other}".endswith(f".{wanted}") for other in known):
                wrong.append(match[0])
            elif value and head in config and not re.search("[…<]", value):
                given = OmegaConf.create()
                OmegaConf.update(given, path, yaml.safe_load(value))
                check_values(given, config)
    none_of(wrong)


@each_page
def test_groups_variables_and_switches_exist(page: Path) -> None:
    unknown = []
    text = page.read_text(encoding="utf-8")
    unknown += [preset for preset in re.findall(r"\+rest=(\w+)", text) if preset not in PRESETS]
    for word in {word for span in spans(page) for word in span.split()}:
        if re.fullmatch(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+(=.*)?", word):
            variable = word.partition("=")[0]
            unknown += [] if re.search(rf"\b{variable}\b", product()) else [word]
    for span in spans(page):
        if match := re.match(r"--([a-z-]+)", span):
            written = (match[0], f"{match[1].replace('-', '_')}:")  # typer's come from parameters
            unknown += [] if any(form in product() for form in written) else [span]
    none_of(unknown)


def messages() -> Iterator[str]:
    """Texts in our sources and Hydra's, with … for what is filled in."""
    files = [path for path in sources() if path.startswith(("rest_verl/", "run_scripts/"))]
    python = [ROOT / path for path in files if path.endswith(".py")]
    python += Path(hydra.__file__).parent.glob("_internal/*.py")
    for file in python:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for path in files:
        if path.endswith(".sh"):
            text = sources()[path].replace("\\\n", "")
            yield from re.sub(r"\$\{?\w+[:-]*\}?", "…", text).splitlines()


def fits(quote: str, message: str) -> bool:
    """Whether the message can read so; … stands for words in the quote, for one in the message."""
    message_words = [word.strip('.,:;"') for word in message.split()]
    patterns = [re.escape(word).replace("…", r"\S*") for word in message_words]
    for part in re.split(r"(?:^| )…(?: |$)", quote):
        wanted = [word.strip(".,:;") for word in part.split()]
        starts = range(len(patterns) - len(wanted) + 1)
        if not any(
            all(re.fullmatch(p, w) for p, w in zip(patterns[start:], wanted, strict=False))
            for start in starts
        ):
            return False
    return True


def test_quoted_messages_are_those_of_the_code() -> None:
    page = DOCS / "troubleshooting.md"
    table = prose(page).split("Without a message")[0]
    quotes = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(quotes) > 15
    texts = [text for text in messages() if " " in text]
    none_of([q for q in quotes if q not in OUTSIDE and not any(fits(q, text) for text in texts)])
    none_of([outside for outside in OUTSIDE if outside not in quotes])


@pytest.mark.parametrize(
    ("quote", "message", "fit"),
    [
        ("x=… is bad", "so …=… is bad, mend it", True),
        ("loop must", "an agent loop must pass", True),
        ("sample … pass", "a sample lacks it: pass it on", True),
        ("sample … give", "a sample lacks it: pass it on", False),
        ("loop may", "an agent loop must pass", False),
    ],
)
def test_how_quotes_are_compared(quote: str, message: str, fit: bool) -> None:
    assert fits(quote, message) is fit


def test_the_citation_and_the_changelog_are_of_this_version() -> None:
    version = re.findall(r"^version = (.+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert [yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]] == version
    assert version[0] in (ROOT / "CHANGELOG.md").read_text()


def test_the_row_of_data_md_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(DOCS / "data.md", "python")
    exec(compile(block, "docs/data.md", "exec"), {})
    import pyarrow.parquet as pq

    (row,) = pq.read_table("train.parquet").to_pylist()
    (answer,) = blocks(DOCS / "data.md", "text")
    truths = (row["reward_model"]["ground_truth"], answer)  # both notations
    assert [tool_call_reward(answer, truth).score for truth in truths] == [4.0, 4.0]


def test_the_examples_of_rewards_md_give_what_they_say() -> None:
    score, beside = blocks(DOCS / "rewards.md", "python")
    names: dict[str, Any] = {}
    exec(compile(score, "docs/rewards.md", "exec"), names)
    for line in score.splitlines():
        if line.startswith("result."):
            value, _, said = line.partition("  # ")
            assert eval(value, names) == eval(said.partition(": score")[0])
    exec(compile(beside, "docs/rewards.md", "exec"), names)
    scored = names["compute_score"]("mine", names["ground_truth"], names["ground_truth"])
    assert scored["score"] == pytest.approx(4 - 0.001 * len(names["ground_truth"]))


def cited_sections() -> Iterator[tuple[str, str, str]]:
    """(source file, page, number) of every section of a page of docs/ that our code cites."""
    for path, text in sources().items():
        flat = re.sub(r"\s+(?:# )?", " ", text)
        for page, number in re.findall(r"docs/([\w-]+\.md)[,;:]? \(?section (\d+(?:\.\d+)?)", flat):
            yield path, page, number


def test_sections_that_the_code_cites_exist() -> None:
    cited = list(cited_sections())
    assert len(cited) > 10

    def exists(page: str, number: str) -> bool:
        return bool(re.search(rf"^#+ {re.escape(number)}\.? ", prose(DOCS / page), re.MULTILINE))

    none_of([each for each in cited if not exists(*each[1:])])
