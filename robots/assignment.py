"""Pairs rows with columns at the least total cost, and leaves out those that fit nowhere.

The Hungarian method with shortest augmenting paths (Jonker & Volgenant 1987), of which a row may also take none.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def assign(cost: Array, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) that make Σ (cost - limit) least: nobody is paired for `limit` or more, if it can be helped.

    Args:
        cost: (rows, columns); infinity where a pair cannot be.
        limit: What a row and a column may cost together.
    """
    rows, columns = cost.shape
    none = np.full((rows, rows), limit)  # a place for each row beside the columns
    bounded = np.where(np.isfinite(cost), cost, abs(limit) + 1e6)
    taken = _columns(np.hstack([bounded, none])) if rows else []
    return [(row, column) for row, column in enumerate(taken) if column < columns and cost[row, column] < limit]


def _columns(cost: Array) -> list[int]:
    """Column of each row, all different; there are at least as many columns as rows."""
    rows, columns = cost.shape
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)  # prices; the last column is a start, no column
    owner = np.full(columns + 1, -1)
    for row in range(rows):
        owner[columns] = row
        column, nearest = columns, np.full(columns, np.inf)
        reached, before = np.zeros(columns + 1, dtype=bool), np.full(columns, columns)
        while owner[column] >= 0:
            reached[column] = True
            open_ = ~reached[:columns]
            reduced = cost[owner[column]] - of_row[owner[column]] - of_column[:columns]
            closer = open_ & (reduced < nearest)
            nearest[closer], before[closer] = reduced[closer], column
            following = int(np.argmin(np.where(open_, nearest, np.inf)))
            step = nearest[following]
            of_row[owner[reached]] += step
            of_column[reached] -= step
            nearest[open_] -= step
            column = following
        while column != columns:
            owner[column] = owner[before[column]]
            column = int(before[column])
        owner[columns] = -1
    by_row = {int(row): column for column, row in enumerate(owner[:columns]) if row >= 0}
    return [by_row[row] for row in range(rows)]
