"""A frame as plain Python values, so that frames of different versions of pandas, or of Arrow, can be compared.

What a version of pandas chooses for itself is left out: how text and missing values are stored, and the units of times.
"""

from __future__ import annotations

import math
from typing import Any

from equality import Box


def cells(value: Any) -> Any:
    """Rows and labels of frames, series, indexes, Arrow tables, also in containers; other values as they are."""
    name = type(value).__name__
    if isinstance(value, Box):
        return cells(vars(value))
    if type(value) is dict:
        return {key: cells(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [cells(item) for item in value]
    if name == "Table":
        return cells(value.to_pandas())
    if name == "DataFrame" and hasattr(value, "iloc"):
        columns = [value.iloc[:, n] for n in range(value.shape[1])]
        return {
            "labels": [plain(label) for label in value.columns.tolist()],
            "index": [plain(label) for label in value.index.tolist()],
            "columns": [[plain(cell) for cell in column.tolist()] for column in columns],
        }
    if name == "Series" and hasattr(value, "iloc"):
        return cells(value.to_frame("values"))["columns"] + [plain(value.name)]
    if name.endswith("Index"):
        return [plain(label) for label in value.tolist()]
    return value


def plain(cell: Any) -> Any:
    """The cell as one Python value; None for everything that is missing."""
    if type(cell) in (int, str, bool):
        return cell
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, (list, tuple)):
        return [plain(item) for item in cell]
    if isinstance(cell, dict):
        return {key: plain(item) for key, item in cell.items() if item is not None}
    if type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if type(cell).__name__ == "Timestamp":
        return (cell.tz_convert("UTC") if cell.tzinfo else cell).isoformat()
    return cell if isinstance(cell, (bool, int, float, str, bytes, type(None))) else str(cell)
