"""A token view as one HTML file that needs nothing else and asks nothing of any host.

The page's style and script are named by their hashes in its Content-Security-Policy, which forbids
everything else. Model text reaches it only as JSON in a data block, where `<` is escaped, and the
script only ever sets it as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rest_verl.syntax.terms import FAULTS, LABELS, count_terms
from rest_verl.viewing.palette import DARK, LIGHT, REGION_NAMES
from rest_verl.viewing.text import visible_text
from rest_verl.viewing.tokens.text import shown_tokens
from rest_verl.viewing.tokens.view import TokenView

_FOLDER = Path(__file__).parent


def write_page(view: TokenView, output: Path, *, title: str, facts: Iterable[str]) -> Path:
    """Writes the page; an older one is replaced only when the new one is complete.

    Args:
        view: What to show.
        output: The HTML file; its folder is made if need be.
        title: The page's heading.
        facts: What was looked at and how, a few short phrases.
    """
    page = render_page(view, title=title, facts=facts)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return output


def render_page(view: TokenView, *, title: str, facts: Iterable[str]) -> str:
    """The page's HTML; arguments as in `write_page`."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("page.css").render(light=LIGHT, dark=DARK, names=REGION_NAMES)
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    data = json.dumps(page_data(view), separators=(",", ":"), allow_nan=False)
    return environment.get_template("page.html").render(
        title=visible_text(title),
        facts=[visible_text(fact) for fact in facts],
        terms=_counts(view),
        faults=FAULTS,
        notes=_notes(view),
        names=REGION_NAMES,
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        data=Markup(data.replace("<", "\\u003c")),
    )


def page_data(view: TokenView) -> dict[str, Any]:
    """What the script draws, JSON with arrays as base64 of their little-endian bytes."""
    vocabulary_ids, tokens = np.unique(view.token_ids, return_inverse=True)
    texts = [shown_tokens(view.vocabulary, [id_])[0] for id_ in vocabulary_ids.tolist()]
    documents: dict[str, int] = {"": 0}
    samples = []
    for row, rollout in enumerate(view.rollouts):
        truth = visible_text(rollout.ground_truth or "")
        here = tokens[slice(*view.offset[row : row + 2])].tolist()
        shown = zip(here, view.token_texts(row), strict=True)
        samples.append(
            {
                "name": visible_text(rollout.name),
                "prompt": documents.setdefault(view.prompts[row], len(documents)),
                "truth": documents.setdefault(truth, len(documents)),
                "score": rollout.score,
                "step": rollout.step,
                "faults": view.terms[row].faults,
                "why": [visible_text(reason) for reason in view.reasons[row]],
                # tokens that read otherwise than alone: characters that several share
                "shared": {
                    position: text
                    for position, (token, text) in enumerate(shown)
                    if text != texts[token]
                },
            }
        )
    counts_steps = view.config.clock == "step" and view.config.has_curriculum
    return {
        "regions": REGION_NAMES,
        "stops": [round(float(stop), 6) for stop in view.stops],
        "steps": [round(float(s) * view.total_steps) for s in view.stops] if counts_steps else None,
        "hasCurriculum": view.config.has_curriculum,
        "start": view.start,
        "asTrained": view.as_trained,
        "faults": FAULTS,
        "samples": samples,
        "documents": list(documents),
        "vocabulary": {"ids": _packed(vocabulary_ids, "<i4"), "texts": texts},
        "offset": _packed(view.offset, "<u4"),
        "tokens": _packed(tokens, "<u4" if len(texts) > 1 << 16 else "<u2"),
        "region": _packed(view.regions, "<i1"),
        "entropy": None if view.entropy is None else _packed(view.entropy, "<f4"),
        "advantage": None if view.advantage is None else _packed(view.advantage, "<f4"),
        "regionWeights": _packed(view.region_weights, "<f4"),
        "tokenWeights": (
            None if view.token_scope_weights is None else _packed(view.token_scope_weights, "<f4")
        ),
    }


def _counts(view: TokenView) -> list[str]:
    """Of how many responses each term holds, as the report and the metrics count them."""
    known = {term: sum(getattr(t, term) is not None for t in view.terms) for term in LABELS}
    return [
        f"{LABELS[term]} {count:,} of {known[term]:,}"
        for term, count in count_terms(view.terms).items()
    ]


def _notes(view: TokenView) -> list[str]:
    """What a reader must know to read the numbers right."""
    notes = []
    rollouts = view.rollouts
    if any(rollout.token_ids is None for rollout in rollouts):
        notes.append(
            "The source holds text, not token ids: the ids were made by tokenising it, special "
            "tokens such as the end of the turn are missing, and every token counts as sampled."
        )
    if view.entropy_source == "dump":
        notes.append("Entropies are those that the run recorded.")
    if view.entropy_source == "model":
        notes.append(
            "Entropies are those of the model named above at temperature 1, not of the policy "
            "that sampled these responses, unless they are the same."
        )
        if any(rollout.prompt is None and rollout.prompt_ids is None for rollout in rollouts):
            notes.append("The prompt is unknown: entropies are those of the text on its own.")
    notes.append(
        "As trained: the weights are those with which training took these responses, as far as the "
        "entropies are. Hypothetical: those that another progress, preset or use would give."
    )
    if view.config.needs_entropy and view.config.scope == "batch":
        notes.append(f"Region entropies are means over these {len(rollouts)} responses.")
    if view.advantage_source == "scores":
        notes.append(
            "Advantages are group-relative (GRPO), from the scores of the responses to one prompt."
        )
    return notes


def _packed(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
