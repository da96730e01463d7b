"""One response in a notebook: colour is a token's region, strength its weight."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.viewing.palette import LIGHT, REGION_NAMES
from rest_verl.viewing.tokens.text import shown_tokens

_STRENGTH = 0.64
"""Share of the region's colour behind the heaviest token."""
_BOX = (
    f"background:{LIGHT.background};color:{LIGHT.ink};padding:0.6em;font-family:monospace;"
    "white-space:pre-wrap;line-height:1.8"
)


class HeatMap:
    """The heat map of one response; a notebook draws it as the last line of a cell."""

    def __init__(
        self,
        labeler: RegionLabeler,
        token_ids: Sequence[int] | Any,
        regions: Sequence[int] | Any,
        weights: Sequence[float] | Any,
        entropy: Sequence[float] | Any = None,
    ) -> None:
        """Takes one row of what `label_batch` and `token_weights` give; (T,) each.

        Args:
            labeler: knows what each id reads as.
            token_ids: the response's ids, padding included.
            regions: their regions; what is -1 at the end, padding, is left out.
            weights: their weights.
            entropy: nats, shown where the pointer rests; None: unknown.
        """
        region_T = np.asarray(regions)
        length = len(region_T) - int((region_T[::-1] >= 0).argmax()) if len(region_T) else 0
        self._regions = region_T[:length].tolist()
        self._weights = np.asarray(weights)[:length].tolist()
        self._entropy = None if entropy is None else np.asarray(entropy)[:length].tolist()
        self._texts = shown_tokens(labeler.vocabulary, np.asarray(token_ids)[:length].tolist())

    def _repr_html_(self) -> str:
        heaviest = max(self._weights, default=0.0) or 1.0
        spans = []
        for place, (text, region) in enumerate(zip(self._texts, self._regions, strict=True)):
            shown = escape(text).replace("\n", "↵\n")
            if region < 0:
                spans.append(f'<span style="color:{LIGHT.muted}">{shown}</span>')
                continue
            name, weight = REGION_NAMES[region], self._weights[place]
            color, alpha = LIGHT.regions[name], round(255 * _STRENGTH * weight / heaviest)
            about = f"{name.upper()}, weight {weight:.3f}"
            if self._entropy is not None:
                about += f", entropy {self._entropy[place]:.3f}"
            style = f"background:{color}{alpha:02x};border-bottom:2px solid {color}"
            spans.append(f'<span style="{style}" title="{about}">{shown}</span>')
        legend = " ".join(
            f'<span style="border-bottom:2px solid {LIGHT.regions[name]}">{name.upper()}</span>'
            for name in REGION_NAMES
        )
        return f'<div style="{_BOX}">{"".join(spans)}\n\n{legend}</div>'
