"""The frontiers of two studies, one above the other."""

from collections.abc import Hashable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.report.figures.style import BLUE, VERMILLION, figure, log_ticks, plain, rounded


def frontier_comparison(frontiers: pd.DataFrame, cell: str) -> go.Figure:
    """Draw the frontiers of one cell.

    Args:
        frontiers: rows of ``frontier`` that have one, with the column ``study`` of two names.
        cell: such as lstm or gru.
    """
    rows = frontiers[frontiers["cell"] == cell].sort_values(["strategy", "threshold_bin"], ascending=False)
    labels = [_label(row) for row in rows.to_dict("records")]
    rows = rows.assign(label=labels)
    made = figure(cell.upper(), "frontier: learning rate", "", height=120 + 22 * rows["label"].nunique())
    made.update_xaxes(**log_ticks(rows["frontier"].min(), rows["frontier"].max()))
    made.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(labels)), dtick=1)
    for (name, group), color, symbol in zip(
        rows.groupby("study", sort=False), (BLUE, VERMILLION), ("circle", "diamond"), strict=False
    ):
        middle = group["frontier"]
        made.add_scatter(
            x=rounded(middle), y=group["label"].tolist(), mode="markers", name=str(name),
            marker={"color": color, "symbol": symbol, "size": 9},
            error_x={
                "type": "data", "symmetric": False, "color": color, "thickness": 1.2, "width": 2,
                "array": rounded((group["frontier_high"] - middle).fillna(0.0)),
                "arrayminus": rounded((middle - group["frontier_low"]).fillna(0.0)),
            },
            hovertemplate="%{y}: %{x:.3g}<extra>" + str(name) + "</extra>",
        )  # fmt: skip
    return made


def _label(row: dict[Hashable, Any]) -> str:
    threshold = "" if pd.isna(row["threshold_bin"]) else f" {row['threshold_bin']:.2g}"
    factors = row.get("factors")
    return plain(f"{row['strategy']}{threshold}" + (f", {factors}" if isinstance(factors, str) and factors else ""))
