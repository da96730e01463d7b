"""The best one-to-one matching of ground-truth calls with predicted calls."""

from __future__ import annotations

import math


def best_total(points: list[list[float]]) -> float:
    """The largest sum of entries, no two of a row or of a column: the assignment problem.

    Args:
        points: (K, J), not negative, K and J at least 1.
    """
    if len(points) == 1:
        return max(points[0])
    if len(points[0]) == 1:
        return max(row[0] for row in points)
    return sum(points[row][column] for row, column in best_pairs(points))


def best_pairs(points: list[list[float]]) -> list[tuple[int, int]]:
    """The (row, column) of those entries, as many as there are rows or columns, by row.

    The Hungarian method by shortest augmenting paths (Kuhn 1955; Jonker & Volgenant 1987) in
    O(n²m) for n rows and m columns, n ≤ m after a transposition if need be: linear in the number
    of predicted calls for a given ground truth. The groups here are tiny, mostly one by one.

    Args:
        points: as `best_total`.
    """
    if len(points) > len(points[0]):
        columns = [list(column) for column in zip(*points, strict=True)]
        return sorted((row, column) for column, row in best_pairs(columns))
    num_rows, num_columns = len(points), len(points[0])
    row_price = [0.0] * num_rows
    column_price = [0.0] * (num_columns + 1)
    # Column `num_columns` is a stand-in that holds the row to be placed next.
    row_of: list[int] = [-1] * (num_columns + 1)
    for new_row in range(num_rows):
        row_of[num_columns] = new_row
        column = num_columns
        distance = [math.inf] * num_columns
        previous = [num_columns] * num_columns
        open_columns = set(range(num_columns))
        path = [num_columns]
        while row_of[column] >= 0:
            row = row_of[column]
            nearest, step = -1, math.inf
            for other in open_columns:
                cost = -points[row][other] - row_price[row] - column_price[other]
                if cost < distance[other]:
                    distance[other], previous[other] = cost, column
                if distance[other] < step:
                    nearest, step = other, distance[other]
            for visited in path:
                row_price[row_of[visited]] += step
                column_price[visited] -= step
            for other in open_columns:
                distance[other] -= step
            open_columns.discard(nearest)
            path.append(nearest)
            column = nearest
        while column != num_columns:
            row_of[column] = row_of[previous[column]]
            column = previous[column]
    return sorted((row, column) for column, row in enumerate(row_of[:num_columns]) if row >= 0)
