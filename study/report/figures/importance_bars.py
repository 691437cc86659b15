"""How much each factor says about divergence."""

import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.report.figures.style import BLUE, GREY, figure, plain, rounded


def importance_bars(table: pd.DataFrame) -> go.Figure:
    """Draw the rows of ``divergence_importance``, the most important on top."""
    rows = table.iloc[::-1]
    made = figure("", "uncertainty taken away", "", height=80 + 32 * len(rows))
    made.update_xaxes(tickformat=".0%", rangemode="tozero")
    made.add_bar(
        x=rounded(rows["importance"]), y=[plain(name.replace("_", " ")) for name in rows["factor"]], orientation="h",
        error_x={
            "type": "data", "symmetric": False, "color": GREY,
            "array": rounded(rows["importance_high"] - rows["importance"]),
            "arrayminus": rounded(rows["importance"] - rows["importance_low"]),
        },
        marker_color=BLUE, hovertemplate="%{y}: %{x:.0%}<extra></extra>",
    )  # fmt: skip
    return made
