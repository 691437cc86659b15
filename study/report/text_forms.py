"""A report as Markdown, JSON, CSV or Parquet: the same tables in each."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

import pandas as pd

from gradstudy.storage.json_values import json_value
from gradstudy.study.report import markdown, sentences
from gradstudy.study.report.markdown import bullets, code, plain
from gradstudy.study.report.report import Report
from gradstudy.study.report.tables import TextTable, text_tables
from gradstudy.study.spec.toml import spec_toml

if TYPE_CHECKING:
    from gradstudy.study.report.comparison import Comparison


def to_markdown(report: "Report | Comparison") -> str:
    """The answer, what to know about it, and the tables."""
    if not isinstance(report, Report):
        names = [made.study.name for made in report.reports]
        parts = [f"# A: {names[0]}, B: {names[1]}", *(_answer(made, "##") for made in report.reports)]
        differing = [f"- {code(field)}: {plain(a)} → {plain(b)}" for field, a, b in report.spec_differences]
        parts += ["## What differs", "\n".join(differing or ["- Nothing but name and seed."])]
    else:
        parts = [_answer(report, "#")]
    if isinstance(report, Report) and report.verdicts:
        parts += ["## The literature", bullets(report.verdicts)]
    if isinstance(report, Report) and report.effects:
        parts += ["## What clipping does", bullets(report.effects)]
    if isinstance(report, Report) and report.at_horizon is not None:
        heading = f"## By the runs of {report.at_horizon.short:,} steps: {plain(sentences.of_short_runs(report))}"
        parts += [heading, bullets(sentences.evidence_of_short_runs(report))]
    if isinstance(report, Report) and report.larger:
        parts += ["## A larger model", bullets(report.larger)]
    if report.caveats:
        parts += ["## What to know before trusting this", bullets(report.caveats)]
    parts += [_markdown_table(table) for table in text_tables(report)]
    return "\n\n".join(parts) + "\n"


def to_json(report: "Report | Comparison") -> str:
    """Everything as one JSON object; numbers that are missing or not finite are null."""
    if not isinstance(report, Report):
        content: dict[str, Any] = {
            "studies": [_described(made) for made in report.reports],
            "spec_differences": [{"field": field, "a": a, "b": b} for field, a, b in report.spec_differences],
        }
    else:
        content = _described(report)
        if report.verdicts:
            content["verdicts"] = report.verdicts
        if report.effects:
            content["effects"] = report.effects
        if report.larger:
            content["larger_model"] = report.larger
    content["caveats"] = report.caveats
    content["tables"] = {name: _records(frame) for name, frame in report.tables().items()}
    return json.dumps(json_value(content), indent=1, allow_nan=False) + "\n"


def stacked_tables(report: "Report | Comparison") -> pd.DataFrame:
    """All tables as one frame, for forms that hold only one: the first column says which ``table`` a row is of."""
    parts = [frame.assign(table=name) for name, frame in report.tables().items() if not frame.empty]
    if not parts:
        return pd.DataFrame({"table": pd.Series(dtype="str")})
    stacked = pd.concat([part.dropna(axis=1, how="all") for part in parts], ignore_index=True)
    # Counts that only some tables have are whole numbers all the same.
    return stacked[["table", *stacked.columns.drop("table")]].convert_dtypes()


def write_parquet(report: "Report | Comparison", file: BinaryIO) -> None:
    """The stacked tables; needs pyarrow."""
    stacked_tables(report).to_parquet(file, engine="pyarrow", index=False)


def _answer(report: Report, level: str) -> str:
    setting = plain(sentences.setting(report))
    lines = [f"{level} {report.study.name}", f"{plain(sentences.title(report))}  \n{sentences.progress(report)}"]
    pytorch = sentences.code(report)
    if pytorch is None:
        lines.append(f"**{setting}**")
    else:
        lines += [f"**{setting}** ({sentences.standing(report)})", bullets(sentences.evidence(report))]
        lines.append(f"```python\n{pytorch}\n```")
    if report.follow_up:
        lines.append(f"Next: {report.follow_up.reason} `{report.follow_up.command}`")
        if report.follow_up.spec is not None:
            lines.append(f"with this as `{report.follow_up.spec['name']}.toml`:")
            lines.append(f"```toml\n{spec_toml(report.follow_up.spec)}```")
    return "\n\n".join(lines)


def _markdown_table(table: TextTable) -> str:
    rows = [[shown for shown, _ in row] for row in table.rows]
    return f"## {table.title}\n\n{table.note}\n\n{markdown.table(table.headings, table.numeric, rows)}"


def _described(report: Report) -> dict[str, Any]:
    study, best = report.study, report.recommendation
    return {
        "study": study.name,
        "spec": study.spec,
        "budget": study.budget,
        "launched": study.created_at.isoformat(),
        "versions": None if study.versions is None else vars(study.versions),
        "outcomes": report.outcomes,
        "excluded": [{"number": number, "why": why} for number, why in report.excluded.items()],
        "answer": {
            "kind": sentences.kind(report),
            "setting": sentences.setting(report),
            "evidence": sentences.evidence(report),
            "code": sentences.code(report),
        },
        "recommendation": None if best is None else asdict(best),
        "at_horizon": None if report.at_horizon is None else asdict(report.at_horizon),
        "next": None if report.follow_up is None else vars(report.follow_up),
    }


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows, with None for what is missing."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")
