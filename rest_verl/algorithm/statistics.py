"""What to log of a batch's weights: by region, and how many tokens train or are at the ceiling."""

from __future__ import annotations

from torch import Tensor

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.scaling import DELTA

# Shape letters: B responses, T response tokens, R regions.


def batch_statistics(
    weights: Tensor,
    count: Tensor,
    weight_BR: Tensor,
    count_BR: Tensor,
    entropy_BR: Tensor | None,
    *,
    cap: float,
) -> dict[str, float]:
    """`rest/{entropy,weight,token_share,weight_share}/<region>` and the shares of `token_weights`.

    Args:
        weights: The weights, of whatever has one by itself: tokens, or each row's regions.
        count: Labelled tokens of each, of the same shape.
        weight_BR: Sums of the weights by region.
        count_BR: Labelled tokens by region.
        entropy_BR: Sums of the entropy (nats) by region, or None.
        cap: The weights' ceiling.
    """
    count_R, weight_R = count_BR.sum(0), weight_BR.sum(0)
    num_tokens, weight_total = count_R.sum().clamp_min(1), weight_R.sum().clamp_min(DELTA)
    stats = {
        "rest/zero_weight_share": float(count[weights == 0].sum() / num_tokens),
        "rest/ceiling_share": float(count[weights >= cap].sum() / num_tokens),
        "rest/format_only_share": _format_only_share(weight_BR, count_BR),
    }
    columns = {
        "token_share": count_R / num_tokens,
        "weight_share": weight_R / weight_total,
        "weight": weight_R / count_R,
    }
    if entropy_BR is not None:
        columns["entropy"] = entropy_BR.sum(0) / count_R
    present_R = (count_R > 0).tolist()
    for name, value_R in columns.items():
        for region, value in zip(Region, value_R.tolist(), strict=True):
            if present_R[region] or name.endswith("_share"):
                stats[f"rest/{name}/{region.name.lower()}"] = value
    return stats


def _format_only_share(weight_BR: Tensor, count_BR: Tensor) -> float:
    """Fraction of the responses in which tags alone train, of more than tags: a thought that is cut
    off, where thoughts weigh 0, leaves its opening tag."""
    others = [region for region in Region if region != Region.FORMAT]
    tags_alone_B = (weight_BR[:, Region.FORMAT] > 0) & (weight_BR[:, others].sum(1) == 0)
    tags_alone_B &= count_BR[:, others].sum(1) > 0
    num_rows = (count_BR.sum(1) > 0).sum().clamp_min(1)
    return float(tags_alone_B.sum() / num_rows)


def progress_statistic(progress: float | Tensor, count_BR: Tensor) -> dict[str, float]:
    """Mean progress over the rows with labelled tokens: verl's padding rows have none."""
    if isinstance(progress, Tensor):
        rows = progress[count_BR.sum(1) > 0]
        if not len(rows):
            return {}
        # Around the first, so that the mean of equal numbers is that number.
        progress = float(rows[0] + (rows - rows[0]).mean())
    return {"rest/progress": progress}
