"""A diagnosis as Markdown or JSON."""

import json
from dataclasses import asdict
from typing import Any

from gradstudy.storage.json_values import json_value
from gradstudy.study.diagnosis import sentences
from gradstudy.study.diagnosis.diagnose import Diagnosis
from gradstudy.study.diagnosis.remedies import Remedy, remedies
from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis
from gradstudy.study.diagnosis.table import runs_table
from gradstudy.study.report.markdown import bullets, plain, table


def to_markdown(diagnosis: Diagnosis) -> str:
    """Verdicts, what is known of each run, and what to try."""
    parts = ["# Diagnosis"]
    if shared := sentences.shared(diagnosis):
        parts.append(bullets(shared))
    if len(diagnosis.runs) > 1:
        made = runs_table(diagnosis)
        rows = [[shown for shown, _ in row] for row in made.rows]
        parts += [table(made.headings, made.numeric, rows), made.note]
    for run in diagnosis.runs:
        parts += [f"## {plain(run.name)}", f"**{plain(sentences.verdict(run))}**"]
        if facts := sentences.facts(run):
            parts.append(bullets(facts))
        if tries := _remedies(diagnosis, run):
            parts += ["What to try, in this order:", "\n".join(map(_numbered, range(1, len(tries) + 1), tries))]
    if diagnosis.without_loss:
        parts.append(plain(f"Without a loss: {', '.join(diagnosis.without_loss)}"))
    return "\n\n".join(parts) + "\n"


def to_json(diagnosis: Diagnosis) -> str:
    """Everything as one JSON object; numbers that are missing or not finite are null."""
    content = {
        "diverged": diagnosis.has_bad,
        "runs": [_described(diagnosis, run) for run in diagnosis.runs],
        "shared_steps": [
            {"step": step, "runs": [run.name for run in runs]} for step, runs in diagnosis.shared_steps.items()
        ],
        "without_loss": list(diagnosis.without_loss),
    }
    return json.dumps(json_value(content), indent=1, allow_nan=False) + "\n"


def _remedies(diagnosis: Diagnosis, run: RunDiagnosis) -> list[Remedy]:
    return remedies(run, is_shared=run.judged.first_bad in diagnosis.shared_steps)


def _numbered(place: int, remedy: Remedy) -> str:
    lines = [f"{place}. **{plain(remedy.what)}**: {plain(remedy.why)}."]
    if remedy.code:
        lines += ["", "   ```", *(f"   {line}".rstrip() for line in remedy.code.strip().splitlines()), "   ```"]
    return "\n".join(lines)


def _described(diagnosis: Diagnosis, run: RunDiagnosis) -> dict[str, Any]:
    course, norms = run.course_of_rate, run.healthy_norms
    return {
        "run": run.name,
        "columns": asdict(run.columns),
        "outcome": run.judged.outcome,
        "reason": run.judged.reason,
        "first_bad_step": run.judged.first_bad if run.is_bad else None,
        "last_good_step": run.judged.last_good,
        "first_step": run.first_step,
        "last_step": run.last_step,
        "losses": run.losses.seen,
        "untrained_loss": run.base.untrained,
        "final_loss": run.judged.final,
        "lowest_loss": run.judged.lowest,
        "spikes": [{"step": spike.step, "loss": spike.value} for spike in run.spikes],
        "norm_spikes": [{"step": spike.step, "norm": spike.value} for spike in run.spikes_of_norm],
        "went_first": run.went_first,
        "norm_left_at_step": run.norm_left_at,
        "norms": None if norms is None else asdict(norms),
        "learning_rate": None if course is None else asdict(course),
        "learning_rate_before_first_bad_step": run.bad_rate if run.is_bad else None,
        "skipped_steps": run.skipped,
        "verdict": sentences.verdict(run),
        "facts": sentences.facts(run),
        "what_to_try": [asdict(remedy) for remedy in _remedies(diagnosis, run)],
    }
