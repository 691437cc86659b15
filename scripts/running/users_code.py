"""The user's own code: saying what is about to be imported, and what workers may import."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gradstudy.study.spec.study_spec import StudySpec

AllowModules = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FOLDER|PACKAGE",
        help="Import models of studies' own from this folder and those below it, or from this installed package; "
        "may be given several times.",
        show_default="no module task is worked on",
    ),
]
ALLOW_MODULES = "--allow-modules"


def say_import(spec: "StudySpec") -> None:
    """Say which code of the user's a study is about to run, if any.

    Raises:
        TaskError: its name has another form.
    """
    from gradstudy.models.tasks.module_task import is_module_task

    if is_module_task(spec.task):
        module = spec.task.split(":")[1]
        place = _place(spec)
        typer.echo(f"importing {module} from {place}" if place else f"importing {module}, which is installed")


def allowed_for(spec: "StudySpec") -> list[str]:
    """What the workers of a study may import, which is what this process imports for it.

    Raises:
        TaskError: its name has another form.
    """
    from gradstudy.models.tasks.module_task import is_module_task

    if not is_module_task(spec.task):
        return []
    return [_place(spec) or spec.task.split(":")[1].partition(".")[0], spec.task]


def _place(spec: "StudySpec") -> str | None:
    from gradstudy.models.user_module.importing import find_folder, folders_of

    return find_folder(spec.task, folders_of(spec.task_folder))
