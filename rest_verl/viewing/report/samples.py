"""Answers before and after, ready to be shown: what they were picked by, and what they earned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rest_verl.viewing.report.groups import Group
from rest_verl.viewing.report.page import number
from rest_verl.viewing.text import visible_text

NUM_SAMPLES = 3
"""Sample answers shown, the first of `samples.json`."""


def samples(group: Group) -> list[dict[str, Any]]:
    """Answers before and after of the group's first run, every text ready to be shown."""
    shown: list[dict[str, Any]] = []
    for sample in group.runs[0].samples:
        if not isinstance(sample, dict) or len(shown) == NUM_SAMPLES:
            continue
        answers = [_answer(sample, when) for when in ("before", "after")]
        shown.append(
            {
                "id": _as_text(sample.get("id", len(shown) + 1)),
                "rank": _ranked(sample),
                "prompt": _as_text(sample.get("prompt")),
                "ground_truth": _as_text(sample.get("ground_truth")),
                "answers": answers,
            }
        )
    return shown


def _answer(sample: Mapping[str, Any], when: str) -> dict[str, Any]:
    score, count = (number(sample.get(f"{when}_{what}")) for what in ("score", "answers"))
    why = sample.get(f"{when}_why")
    about = [when]
    if score is not None:
        about.append(f"score {score:.2f}")
    if count is not None and count > 1:
        about.append(f"the middle one of {count:.0f} answers")
    return {
        "about": " · ".join(about),
        "text": _as_text(sample.get(when)),
        "why": [_as_text(reason) for reason in why] if isinstance(why, list) else [],
    }


def _ranked(sample: Mapping[str, Any]) -> str:
    """What a sample was picked by; "" where its file does not say."""
    before, after = (number(sample.get(f"{when}_mean")) for when in ("before", "after"))
    if "rank" not in sample or before is None or after is None:
        return ""
    return (
        f"{_as_text(sample['rank'])} by change of mean score: {before:.2f} → {after:.2f} "
        f"({after - before:+.2f})"
    )


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return visible_text(text)
