"""Taking the optimizer that the user's function returns, where nobody said another one."""

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.trainable import Trainable
from gradstudy.models.user_module.loading import UserModule
from gradstudy.study.errors import SpecError
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.training.data import check_varied_data, load_data
from gradstudy.study.training.slots import tried_batching

OWN = "own"


def with_optimizer(spec: StudySpec, data: Trainable, device: str = "cpu") -> tuple[StudySpec, Trainable]:
    """The spec of a study that is to be made, with its optimizer settled, and its data.

    The user's function is called with each choice of what the study varies.

    Args:
        spec: as it was given: whether its optimizer was said is what its fields that were set tell.
        data: of the spec.
        device: where to try the user's model.

    Raises:
        TaskError: what the function returns cannot be studied, or its optimizer cannot be used; or it fails, and nobody
            said which optimizer to take.
        SpecError: something was given that an own optimizer does not take.
    """
    if not isinstance(data, UserModule):
        return spec, data
    of_all = tried_batching(spec, data, device)
    if is_settled(spec):
        for one, _, tried in of_all:
            if one.optimizer == OWN and tried.optimizer and tried.optimizer.error:
                raise TaskError(tried.optimizer.error)
            if one.optimizer == OWN and not tried.optimizer and not tried.failure:
                raise TaskError(
                    f"{data.task} returned no optimizer for optimizer 'own': return one as the fifth part, a function "
                    "of parameters and learning rate, or by the name optimizer"
                )
        return spec, data
    failure = next((tried.failure for _, _, tried in of_all if tried.failure), None)
    if failure is not None:
        raise TaskError(
            f"{data.task} failed before it was known whether it has an optimizer of its own: {failure}; mend it, or "
            "say --optimizer NAME"
        )
    found = [tried.optimizer for _, _, tried in of_all]
    if not any(found):
        return spec.model_copy(update={"optimizer": spec.optimizer}), data
    if not all(found):
        raise TaskError(
            f"{data.task} returns an optimizer for some of what the study varies, and none for the rest: "
            "say --optimizer NAME"
        )
    try:
        settled = parse_spec(spec.model_dump(mode="json") | {"optimizer": OWN})
        loaded = load_data(settled)
        check_varied_data(settled)
    except (SpecError, TaskError) as error:
        name = next(one.name for one in found if one)
        raise type(error)(
            f"{error}; the study takes the {name} that {data.task} returns, as no --optimizer is given"
        ) from None
    return with_optimizer(settled, loaded, device)


def is_settled(spec: StudySpec) -> bool:
    """Whether it was said which optimizer to take."""
    return "optimizer" in spec.model_fields_set or "optimizer" in spec.space.factors
