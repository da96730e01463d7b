"""The colours of every view: one per region, safe for colour-blind readers, on light and dark.

All region colours are from the Okabe-Ito set. FORMAT and ARGS swap blue for sky blue and orange
for yellow on a dark page, where the darker of each pair is hard to see. Where runs are compared,
colour tells the runs apart instead; those are Paul Tol's sets "muted" and "light".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

REGION_NAMES = ("format", "name", "args", "think", "text")
"""Region names as they stand in metric names, in the order of `Region`."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """One colour scheme; every colour is `#rrggbb`."""

    background: str
    ink: str
    """Text, and a panel's leading curve."""
    muted: str
    """Axis labels, ticks and second-rank curves."""
    grid: str
    neutrals: tuple[str, ...]
    """Curves that are no region, most important first; never a region's colour."""
    regions: Mapping[str, str]
    """Region name to colour."""
    runs: tuple[str, ...]
    """Runs laid over each other, in the order they are named."""

    def __post_init__(self) -> None:
        if tuple(self.regions) != REGION_NAMES:
            raise ValueError(f"a theme needs the regions {REGION_NAMES}, got {(*self.regions,)}")


def _regions(*colors: str) -> Mapping[str, str]:
    return MappingProxyType(dict(zip(REGION_NAMES, colors, strict=True)))


LIGHT = Theme(
    background="#ffffff",
    ink="#1c2430",
    muted="#5b6675",
    grid="#e4e8ee",
    neutrals=("#1c2430", "#6f7b8b", "#8a6a46", "#a3adba", "#5b3f8c", "#6b7a2f"),
    regions=_regions("#0072b2", "#d55e00", "#e69f00", "#009e73", "#cc79a7"),
    runs=("#332288", "#cc6677", "#44aa99", "#999933", "#882255", "#117733", "#6699cc", "#aa4499"),
)
DARK = Theme(
    background="#161b22",
    ink="#e6edf3",
    muted="#9aa7b5",
    grid="#2b323c",
    neutrals=("#e6edf3", "#93a1b1", "#c4a27a", "#66717f", "#b8a1ff", "#b5c266"),
    regions=_regions("#56b4e9", "#d55e00", "#f0e442", "#009e73", "#cc79a7"),
    runs=("#77aadd", "#ee8866", "#44bb99", "#eedd88", "#ffaabb", "#bbcc33", "#99ddff", "#aaaa00"),
)
