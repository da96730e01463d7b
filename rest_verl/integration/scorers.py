"""Who scores the answers to a run's rows, and what that asks of the rows."""

from __future__ import annotations

import ast
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from rest_verl.integration.names import REWARD_MANAGER

MANAGER = "reward.reward_manager"
FUNCTION = "reward.custom_reward_function"
OUR_FUNCTIONS = "pkg://rest_verl.rewards"

VERLS_MANAGERS = ("dapo", "gdpo", "naive", "rate_limited", "remote")
"""verl's managers: they call a function with `data_source` and ground truth."""

VERLS_SOURCES = (
    "openai/gsm8k",
    "lighteval/MATH",
    "DigitalLearningGmbH/MATH-lighteval",
    "HuggingFaceH4/MATH-500",
    "math_dapo",
    "math",
    "math_dapo_reasoning",
    "numina_aops_forum",
    "numina_synthetic_math",
    "numina_amc_aime",
    "numina_synthetic_amc",
    "numina_cn_k12",
    "numina_olympiads",
    "codecontests",
    "apps",
    "codeforces",
    "taco",
    "hiyouga/geometry3k",
    "searchR1_nq",
    "searchR1_triviaqa",
    "searchR1_popqa",
    "searchR1_hotpotqa",
    "searchR1_2wikimultihopqa",
    "searchR1_musique",
    "searchR1_bamboogle",
)
"""The data sources that verl's own function scores, besides those that begin with `aime`; a
contract test compares."""


class Scorer(Enum):
    """Who scores an answer, where the agent loop has not done so itself."""

    OURS = "the tool-call reward"
    VERLS = "verl's own function"
    USERS = "a function of the user's"
    MODEL = "a reward model"
    UNKNOWN = "a reward manager of somebody else's"


def scorer(config: DictConfig) -> Scorer:
    """The run's scorer, as verl would choose it."""
    function = OmegaConf.select(config, f"{FUNCTION}.path")
    manager = OmegaConf.select(config, f"{MANAGER}.name")
    if function is None and OmegaConf.select(config, "reward.reward_model.enable"):
        return Scorer.MODEL
    if OmegaConf.select(config, f"{MANAGER}.source") != "register":
        return Scorer.UNKNOWN
    if manager == REWARD_MANAGER:
        return Scorer.OURS
    if manager not in VERLS_MANAGERS:
        return Scorer.UNKNOWN
    if function is None:
        return Scorer.VERLS
    return Scorer.OURS if str(function).startswith(OUR_FUNCTIONS) else Scorer.USERS


def verl_scores(source: object) -> bool:
    """Whether verl's own function knows the data source."""
    return source in VERLS_SOURCES or str(source).startswith("aime")


def reward_function(config: DictConfig) -> str | None:
    """Is the user's own reward function there? Its file is parsed, not run."""
    path, name = (OmegaConf.select(config, f"{FUNCTION}.{key}") for key in ("path", "name"))
    if path is None:
        return None
    file = _source(str(path))
    if file is None:
        return f"{FUNCTION}.path={path}: no such file"
    try:
        defined = _names(ast.parse(file.read_bytes())) if file.suffix == ".py" else {"*"}
    except (OSError, SyntaxError, ValueError) as error:
        return f"{FUNCTION}.path={path}: not to be read as Python: {error}"
    if not {name, "*"} & defined:
        return f"{FUNCTION}.name={name}: {path} defines no {name}. Name the function that scores"
    return None


def _source(path: str) -> Path | None:
    """The file that verl would import for that path; None where there is none."""
    if not path.startswith("pkg://"):
        file = Path(path.removeprefix("file://"))
        return file if file.is_file() else None
    module = path.removeprefix("pkg://").replace("/", ".")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin)


def _names(tree: ast.AST) -> set[str | None]:
    """All names that a module may define; "*" among them where it imports that."""
    found: set[str | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found
