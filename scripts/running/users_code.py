"""The user's own code: saying what is about to be imported, what workers may import, and what it does not take."""

from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.errors import UsageError
from gradstudy.scripts.spec_input import Values

if TYPE_CHECKING:
    from gradstudy.models.trainable import Trainable
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


def say_import(spec: "StudySpec", *, err: bool = False) -> None:
    """Say which code of the user's a study is about to run, if any; on standard error where rows go to the other one.

    Raises:
        TaskError: its name has another form.
    """
    from gradstudy.models.tasks.module_task import is_module_task

    if is_module_task(spec.task):
        module = spec.task.split(":")[1]
        place = _place(spec)
        typer.echo(f"importing {module} from {place}" if place else f"importing {module}, which is installed", err=err)


def refuse_batch_size(flags: Values, data: "Trainable") -> None:
    """Refuse a batch size, or values of it, where a user's function does not take one.

    Raises:
        UsageError: it does not.
    """
    from gradstudy.models.user_module.loading import UserModule

    given = "batch_size" in flags or "batch_size" in flags.get("space", {}).get("factors", {})
    if given and isinstance(data, UserModule) and not data.takes("batch_size"):
        raise UsageError(
            f"batch_size has no effect: {data.task} has no parameter `batch_size`, and makes its own batches"
        )


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
