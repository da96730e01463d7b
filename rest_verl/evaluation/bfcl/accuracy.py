"""BFCL's accuracies: of each category, and of its groups as the version in use defines them.

    group       v3                                          v4
    non_live    mean of simple, multiple, parallel,         the same without irrelevance
                parallel_multiple, irrelevance
    live        mean of all live rows                       the same without (ir)relevance
    irrelevance mean of irrelevance and live_irrelevance    the same
    multi_turn  mean of the four categories                 the same
    overall     mean of non_live, live and multi_turn       see below

`simple` is the mean of the Python, Java and JavaScript categories. Sources: in BFCL's
`eval_checker/eval_runner_helper.py` the function `generate_leaderboard_csv`, of bfcl-eval 2026.3.23
for v4, and of the last version before it for v3.

Version 4's leaderboard weighs non_live, live and irrelevance by 10 % each, multi_turn by 30 % and
agentic tasks (web search, memory), which are not run here, by 40 %. Without them that number does
not exist, so `overall` is v3's rule in both versions. It is not v4's leaderboard number.

BFCL counts a category that was not run as 0. Here a group is the mean over what was run, and says
what is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from rest_verl.data.bfcl import CATEGORIES, MULTI_TURN_CATEGORIES

OVERALL = "overall"


class Count(NamedTuple):
    """A category."""

    correct: float
    """Right rows; of a row with several samples, the share of them."""
    total: int
    """Rows."""

    @property
    def accuracy(self) -> float:
        return self.correct / self.total


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of categories, over what was run of it."""

    accuracy: float | None
    """In [0, 1]; None if nothing of it was run."""
    weights: Mapping[str, float]
    """The categories that were run; the accuracy is their mean with these weights, which add up
    to 1."""
    missing: tuple[str, ...]
    """Categories of which no row was run, or not every one."""

    @property
    def is_complete(self) -> bool:
        return not self.missing


class Accuracies(NamedTuple):
    """Of one run."""

    categories: dict[str, Count]
    """In BFCL's order."""
    groups: dict[str, Group]
    """`non_live`, `live`, `irrelevance`, `multi_turn`, `overall`; `overall` last."""


def accuracies(
    records: Iterable[Mapping[str, Any]], version: str, num_rows: Mapping[str, int]
) -> Accuracies:
    """Counts result records.

    Args:
        records: `id`, `category` and `valid` each, one for every sample of a row.
        version: of the data, "v3" or "v4".
        num_rows: rows of each category in the data, to tell whether all were run. A category that
            is not in it counts as not run in full.

    Raises:
        ValueError: a category that the version does not have.
    """
    known = (*CATEGORIES[version], *MULTI_TURN_CATEGORIES)
    samples: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        samples[record["category"]][record["id"]].append(record["valid"])
    if unknown := samples.keys() - set(known):
        raise ValueError(f"BFCL {version} has no category {min(unknown)!r}")
    categories = {
        name: Count(sum(sum(row) / len(row) for row in rows.values()), len(rows))
        for name in known
        if (rows := samples.get(name))
    }
    partial = {n for n in known if n not in categories or categories[n].total != num_rows.get(n)}
    groups = {name: _group(tree, categories, partial) for name, tree in _trees(version).items()}
    return Accuracies(categories, groups)


# A group is a tree: a mean of trees with equal weights, whose leaves are categories or pools.


class _Pool(tuple[str, ...]):
    """Categories whose rows count alike, whichever category they are in."""


_Tree = str | _Pool | list["_Tree"]


def _trees(version: str) -> dict[str, _Tree]:
    simple: list[_Tree] = [
        name for name in CATEGORIES[version] if name.startswith(("simple", "java"))
    ]
    non_live: list[_Tree] = [simple, "multiple", "parallel", "parallel_multiple"]
    live = [name for name in CATEGORIES[version] if name.startswith("live_")]
    if version == "v3":
        non_live.append("irrelevance")
    else:
        live = [name for name in live if not name.endswith("relevance")]
    multi_turn: list[_Tree] = list(MULTI_TURN_CATEGORIES)
    return {
        "non_live": non_live,
        "live": _Pool(live),
        "irrelevance": ["irrelevance", "live_irrelevance"],
        "multi_turn": multi_turn,
        OVERALL: [non_live, _Pool(live), multi_turn],
    }


def _group(tree: _Tree, categories: Mapping[str, Count], partial: set[str]) -> Group:
    weights = _weights(tree, categories)
    accuracy = sum(weight * categories[name].accuracy for name, weight in weights.items())
    return Group(
        accuracy=accuracy if weights else None,
        weights=weights,
        missing=tuple(name for name in _leaves(tree) if name in partial),
    )


def _weights(tree: _Tree, categories: Mapping[str, Count]) -> dict[str, float]:
    """Of the categories that were run, adding up to 1; {} if none was."""
    if isinstance(tree, str):
        return {tree: 1.0} if tree in categories else {}
    if isinstance(tree, _Pool):
        counts = {name: categories[name].total for name in tree if name in categories}
        return {name: count / sum(counts.values()) for name, count in counts.items()}
    parts = [weights for part in tree if (weights := _weights(part, categories))]
    return {name: weight / len(parts) for part in parts for name, weight in part.items()}


def _leaves(tree: _Tree) -> list[str]:
    return [tree] if isinstance(tree, str) else [leaf for part in tree for leaf in _leaves(part)]
