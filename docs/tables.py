"""The tables of the documents that are made from the code. ``make docs`` writes them between their markers."""

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import typer

from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import TASKS
from gradstudy.scripts.main import app
from gradstudy.study.literature.presets import PRESETS, planned
from gradstudy.study.spec.study_spec import StudySpec

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted(Path(__file__).parent.glob("*.md")))
TABLE = re.compile(r"(?P<begin><!-- made from the code: (?P<words>[a-z_ ]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
COMMAND: Any = typer.main.get_command(app)
"""The command as typer has made it; its classes are typer's own copy of click and not typed for others."""

Row = tuple[str, ...]
PIPE = "&#124;"
KINDS = {"str": "TEXT", "int": "N", "float": "NUMBER"}
"""What typer calls a kind of value, and what the documents call it."""


def verbs() -> str:
    """Every verb with what it takes and what it does."""
    rows = []
    for name, command in COMMAND.commands.items():
        arguments = [parameter.metavar for parameter in command.params if parameter.param_type_name == "argument"]
        rows.append((code(" ".join(["gradstudy", name, *arguments])), first_sentence(command.help)))
    return markdown_table(("command", "what it does"), rows)


def options(verb: str) -> str:
    """The arguments and options of one verb."""
    command = COMMAND.commands[verb]
    context = command.context_class(command, info_name=verb)
    rows = [
        (code(_spelled(parameter, context)), _default(parameter), parameter.help)
        for parameter in command.params
        if not parameter.hidden
    ]
    return markdown_table(("option", "default", "meaning"), rows) if rows else "It takes no options.\n"


def spec() -> str:
    """Every field of a spec, from the JSON schema of its model."""
    return markdown_table(("field", "default", "accepted", "meaning"), _fields(StudySpec.model_json_schema()))


def strategies() -> str:
    """The clipping strategies, from their catalogue."""
    rows = [
        (code(entry.name), code(entry.rule), entry.unit or "–", _range(entry.low, entry.high), entry.source)
        for entry in STRATEGIES.values()
    ]
    return markdown_table(("strategy", "rule", "threshold c", "range searched", "source"), rows)


def tasks() -> str:
    """The tasks, from their catalogue."""
    rows = []
    for task in TASKS.values():
        given = ", ".join(code(f"{option.name}={option.shown_default}") for option in task.options)
        rows.append((code(task.usage), task.description, ", ".join(task.losses), given))
    return markdown_table(("task", "what is learned", "losses", "options with their defaults"), rows)


def presets() -> str:
    """The experiments of the literature, from their catalogue."""
    rows = []
    for name, preset in PRESETS.items():
        shown = [f"{100 * each.smallest(first, second):.0f}" for each, first, second in planned(name)]
        runs = str(preset.spec["trials"])
        rows.append((code(name), preset.description, runs, " / ".join(shown), preset.source))
    return markdown_table(("preset", "what it compares", "runs", "points seen", "from"), rows)


TABLES: Mapping[str, Callable[..., str]] = {
    "verbs": verbs,
    "options": options,
    "spec": spec,
    "strategies": strategies,
    "tasks": tasks,
    "presets": presets,
}


def with_tables(page: str) -> str:
    """A page with its tables as the code is now."""

    def made(found: re.Match[str]) -> str:
        name, *words = found["words"].split()
        return f"{found['begin']}\n{TABLES[name](*words)}\n{found['end']}"

    return TABLE.sub(made, page)


def markdown_table(headings: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown, in which no text can end a cell."""
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', PIPE) for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    """Text as code; not between backticks where it has a pipe, which Markdown's dialects escape in different ways."""
    return f"<code>{escape(text)}</code>" if "|" in text else f"`{text}`"


def first_sentence(text: str) -> str:
    """The first line of a docstring."""
    return text.strip().splitlines()[0]


def _spelled(parameter: Any, context: Any) -> str:
    """A parameter as a command line takes it, such as ``--workers N``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    spelling = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return spelling if parameter.is_flag else f"{spelling} {parameter.metavar or _kind(parameter, context)}"


def _kind(parameter: Any, context: Any) -> str:
    """What an option takes, in one word or as its choices."""
    shown = str(parameter.display_type(ctx=context)).strip("[]<>").removesuffix(" range")
    return shown if "|" in shown else KINDS.get(shown, shown.upper())


def _default(parameter: Any) -> str:
    """What holds when a parameter is not given, and the variable of the environment that gives it."""
    default = parameter.default
    if isinstance(parameter.show_default, str):
        text = parameter.show_default
    elif parameter.required:
        text = "must be given"
    elif default is None or default is False:
        text = "–"
    else:
        text = code(str(getattr(default, "value", default)))
    return f"{text}; {code(parameter.envvar)}" if parameter.envvar else text


def _fields(schema: Mapping[str, Any]) -> list[Row]:
    """The fields of a model and of the models in it, each as a row."""
    rows: list[Row] = []

    def add(model: Mapping[str, Any], prefix: str) -> None:
        for name, field in model["properties"].items():
            if "$ref" in field:
                add(schema["$defs"][field["$ref"].rpartition("/")[2]], f"{prefix}{name}.")
            else:
                default = "must be given" if name in model.get("required", ()) else _field_default(field)
                rows.append((code(prefix + name), default, _accepted(field), field["description"]))

    add(schema, "")
    return rows


def _field_default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if isinstance(default, list):
        return ", ".join(code(str(value)) for value in default)
    if default is None:
        return "–"
    return code(str(default).lower() if isinstance(default, bool) else str(default))


def _accepted(field: Mapping[str, Any]) -> str:
    """What a field takes, in words, from its JSON schema."""
    if "anyOf" in field:
        kinds = [_accepted(part) for part in field["anyOf"] if part != {"type": "null"}]
        return ", ".join(kinds)
    if "enum" in field:
        return ", ".join(code(str(value)) for value in field["enum"])
    if field["type"] == "array":
        return "low and high" if "prefixItems" in field else f"a list of: {_accepted(field['items'])}"
    if "properties" in field:
        return code(", ".join(f"{{{name} = [A, B, C]}}" for name in field["properties"]))
    if field["type"] == "object":
        return f"names with: {_accepted(field['additionalProperties'])}"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}[field["type"]]
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return " ".join([words, *(f"{word} {field[key]:,}" for key, word in bounds.items() if key in field)])


def _range(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:g} to {high:g}"


def main() -> None:
    """Write the tables into the pages that have a place for them."""
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        if (made := with_tables(page)) != page:
            path.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
