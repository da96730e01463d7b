"""Against BFCL's own executor and checker, which run in a process of their own."""

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bfcl_eval", reason="the package bfcl-eval is not installed")
if importlib.util.find_spec("mpmath") is None:
    pytest.skip("MathAPI needs mpmath", allow_module_level=True)

from bfcl_conversations import (
    BFCL_V3,
    CATEGORIES,
    CORRUPTIONS,
    Conversation,
    call_strings,
    corrupted,
    play,
    read_rows,
    right_conversation,
)

from rest_verl.environments.bfcl import BFCLEnvironment

Case = tuple[dict[str, Any], Conversation]


def official(cases: list[Case], folder: Path) -> list[dict[str, Any]]:
    rows: dict[int, dict] = {id(row): row for row, _ in cases}
    places = {key: index for index, key in enumerate(rows)}
    given = [{"row": places[id(row)], "turns": call_strings(talk)} for row, talk in cases]
    source, target = folder / "cases.json", folder / "verdicts.json"
    source.write_text(json.dumps({"rows": list(rows.values()), "cases": given}), encoding="utf-8")
    script = Path(__file__).parents[1] / "support" / "official_bfcl.py"
    subprocess.run([sys.executable, script, source, target], check=True, cwd=folder, timeout=300)
    return json.loads(target.read_text(encoding="utf-8"))


def comparable(text: str) -> str:
    # Two texts of the tools list a set, so in another order in every process.
    listed = "Must be one of {" in text or "Invalid fields for update" in text
    return "".join(sorted(text)) if listed else text


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_row_in_every_corruption(category: str, tmp_path: Path) -> None:
    rows = read_rows(category)
    assert len(rows) == 200
    cases = [(row, right_conversation(row)) for row in rows]
    cases += [(row, corrupted(row, how, seed=0)) for how in CORRUPTIONS for row in rows]
    kinds = ["right"] * 200 + [how.__name__ for how in CORRUPTIONS for _ in rows]
    counts: Counter[tuple[str, bool]] = Counter()
    for (row, talk), kind, answer in zip(cases, kinds, official(cases, tmp_path), strict=True):
        environment = BFCLEnvironment(row)
        observations = play(environment, talk)
        assert bool(environment.score()) == answer["valid"], (row["id"], kind)
        # The checker stops at the first wrong turn.
        seen = answer["outputs"]
        assert list(map(comparable, observations[: len(seen)])) == list(map(comparable, seen))
        counts[kind, answer["valid"]] += 1
    print(f"{category}: {len(cases)} conversations agree:", dict(counts))
    assert counts["right", True] == 200
    # Both verdicts occur, or the agreement would say little.
    assert sum(n for (_, valid), n in counts.items() if valid) > 500
    assert sum(n for (_, valid), n in counts.items() if not valid) > 500


@pytest.mark.skipif(not BFCL_V3.is_dir(), reason="no folder shared/data/bfcl_v3")
def test_version_3(tmp_path: Path) -> None:
    rows = read_rows("base", BFCL_V3, "v3")
    assert len(rows) == 199
    cases = [(row, right_conversation(row)) for row in rows]
    for (row, talk), answer in zip(cases, official(cases, tmp_path), strict=True):
        environment = BFCLEnvironment(row)
        assert play(environment, talk) == answer["outputs"]
        assert environment.score() == 1.0
        assert answer["valid"]


TWEETS = {
    "id": "multi_turn_base_9001",
    "question": [[{"role": "user", "content": text}] for text in ("Post.", "Mention bob.")],
    "initial_config": {"TwitterAPI": {"authenticated": True}},
    "involved_classes": ["TwitterAPI"],
    "ground_truth": [["post_tweet('hi')"], ["mention(tweet_id=0, mentioned_usernames=['@bob'])"]],
}
CARD = "1234567812345678"
FLIGHT = {
    "access_token": "t",
    "card_id": CARD,
    "travel_date": "2024-11-10",
    "travel_from": "SFO",
    "travel_to": "LAX",
    "travel_class": "economy",
}
TRAVEL = {
    "id": "multi_turn_long_context_9002",
    "question": [[{"role": "user", "content": "Book."}], [{"role": "user", "content": "Cards?"}]],
    "initial_config": {"TravelAPI": {"access_token": "t", "token_expires_in": 2}},
    "involved_classes": ["TravelAPI"],
    "ground_truth": [
        [f"book_flight({', '.join(f'{k}={v!r}' for k, v in FLIGHT.items())})"],
        ["list_all_airports()"],
    ],
}


def post(**more: Any) -> tuple[str, dict[str, Any]]:
    return "post_tweet", {"content": "hi", **more}


MENTION_EVE = ("mention", {"tweet_id": 0, "mentioned_usernames": ["@eve"]})
INSURE = {"access_token": "t", "insurance_type": "x", "insurance_cost": 1, "card_id": CARD}
AIRPORTS: tuple[str, dict[str, Any]] = ("list_all_airports", {})


@pytest.mark.parametrize(
    ("row", "talk", "valid"),
    [
        # A tweet posted without mentions holds the process's one default list, in which the
        # ground truth's tweet then finds the wrong name too.
        (TWEETS, [[post()], [MENTION_EVE]], True),
        (TWEETS, [[post(mentions=[])], [MENTION_EVE]], False),
        # A card of long_context's stock is one object for both sides.
        (TRAVEL, [[("book_flight", FLIGHT)], [AIRPORTS]], True),
        (
            TRAVEL,
            [
                [("book_flight", FLIGHT)],
                [("purchase_insurance", {**INSURE, "booking_id": "booking_901"}), AIRPORTS],
            ],
            True,
        ),
    ],
)
def test_objects_that_the_official_process_shares(
    row: dict, talk: Conversation, valid: bool, tmp_path: Path
) -> None:
    (answer,) = official([(row, talk)], tmp_path)
    assert answer["valid"] is valid
    for _ in range(2):  # in a second rollout nothing is left of the first
        environment = BFCLEnvironment(row)
        assert play(environment, talk)[: len(answer["outputs"])] == answer["outputs"]
        assert environment.score() == float(valid)
