"""Two studies side by side."""

import math
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from gradstudy.study.report.report import Report
from gradstudy.study.spec.differences import comparable, differing
from gradstudy.study.spec.study_spec import stored_spec
from gradstudy.study.statistics.grouping import GROUP
from gradstudy.study.statistics.rates import rate_difference

COMPARED = ["settings", "runs", "diverged", "rate", "best_validation_loss", "frontier_highest"]


def _words(strategies: pd.DataFrame) -> pd.DataFrame:
    """A table of strategies with the column ``factors``, empty where the study varies none."""
    return strategies if "factors" in strategies else strategies.assign(factors="")


@dataclass(frozen=True)
class Comparison:
    """Two reports, A and B."""

    a: Report
    b: Report

    @property
    def reports(self) -> tuple[Report, Report]:
        """Both."""
        return self.a, self.b

    @cached_property
    def spec_differences(self) -> list[tuple[str, str, str]]:
        """Field, its value in A, its value in B; name and seed are left out."""
        # Parsed, so that a field that came with a later version has its default.
        rows = differing("", *comparable(stored_spec(self.a.study), stored_spec(self.b.study)))
        return [(field, str(old), str(new)) for field, old, new in rows if field not in ("name", "seed")]

    @cached_property
    def caveats(self) -> list[str]:
        """What the comparison cannot tell."""
        fields = ("task", "task_options", "file_digest", "loss")
        tasks = {str([report.study.spec.get(field) for field in fields]) for report in self.reports}
        sentences = ["The studies have different tasks: their losses cannot be compared."] if len(tasks) > 1 else []
        a, b = (stored_spec(report.study).space for report in self.reports)
        if a != b:
            sentences.append("The studies searched different spaces: rates over a whole range compare the ranges, too.")
        return sentences + [f"{report.study.name}: {caveat}" for report in self.reports for caveat in report.caveats]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each cell and strategy of either study: ``COMPARED`` with the suffixes ``_a`` and ``_b``.

        Where one of them varies factors, a row is of one choice of them.
        ``difference``, ``difference_low`` and ``difference_high`` are the rate of B less that of A, see
        ``rate_difference``; NaN where one of them has no runs.
        """
        varied = any("factors" in report.strategies for report in self.reports)
        keys = [*GROUP, "factors"] if varied else GROUP
        sides = [_words(report.strategies)[[*keys, *COMPARED]] for report in self.reports]
        table = sides[0].merge(sides[1], how="outer", on=keys, suffixes=("_a", "_b"))
        of_a, of_b = (  # each run of a grid counts, of other studies each setting
            f"{'runs' if report.is_grid else 'settings'}_{side}"
            for report, side in zip(self.reports, "ab", strict=True)
        )
        differences = [
            rate_difference(
                row["rate_a"] * row[of_a],
                row[of_a],
                row["rate_b"] * row[of_b],
                row[of_b],
            )
            if pd.notna(row["runs_a"]) and pd.notna(row["runs_b"])
            else (math.nan, math.nan, math.nan)
            for row in table.to_dict("records")
        ]
        columns = ["difference", "difference_low", "difference_high"]
        return table.join(pd.DataFrame(differences, columns=columns, index=table.index, dtype=float))

    @cached_property
    def frontiers(self) -> pd.DataFrame:
        """The bracketed frontiers of both, with the column ``study``."""
        parts = [report.frontiers.assign(study=report.study.name) for report in self.reports]
        return pd.concat(parts).dropna(subset=["frontier"])

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that every form of a comparison carries, by name."""
        return {"comparison": self.table, "frontier": self.frontiers}
