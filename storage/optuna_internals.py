"""Every name of Optuna's and of optuna-dashboard's that is not public, with why it is used: nothing else touches them.

Read in Optuna 5.0 and optuna-dashboard 0.21. A test asks the installed versions for each, so that it notices a release
that renames one.
"""

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import TYPE_CHECKING, Any

from sqlalchemy import column, table

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

TRIALS = table("trials", column("trial_id"), column("study_id"), column("state"), column("datetime_complete"))
STUDY_ATTRIBUTES = table("study_system_attributes", column("study_id"), column("key"), column("value_json"))
USER_ATTRIBUTES, SYSTEM_ATTRIBUTES = (
    table(f"trial_{kind}_attributes", column("trial_id"), column("key"), column("value_json"))
    for kind in ("user", "system")
)
"""Optuna's tables where gradstudy reads or writes many rows at once; these columns are those of their first release."""

NOTE_PREFIX = "dashboard:note_"
"""How optuna-dashboard names the parts of a study's note among its system attributes."""
NOTE_VERSION = f"{NOTE_PREFIX}ver"
"""Under this name it counts the changes of a note: the page replaces only a note that is newer."""
PLOT_PREFIX = "dashboard:plot_data:"
"""How it names the parts of a custom plot; the name of the plot follows."""


def storage_of(study: "Study") -> "BaseStorage":
    """The storage of a study, with the cache that Optuna puts before a database. ``Study`` gives it to nobody else."""
    return study._storage


def study_id_of(study: "Study") -> int:
    """The study's key in its storage, which ``Study`` does not show either."""
    return study._study_id


def trial_id_of(trial: "Trial | FrozenTrial") -> int:
    """The trial's key in its storage, unlike ``number`` the only one of its kind in the whole database."""
    return trial._trial_id


def without_memory(study: "Study") -> "Study":
    """The study without the trials that ``Study.ask`` keeps for one ask, and only it drops: a copy begins without."""
    return copy(study)


def constraint_attributes(name: str, value: float) -> dict[str, Any]:
    """The system attributes that keep a trial's one constraint.

    By its name, as ``Trial.set_constraint`` keeps it since Optuna 5.0, and in the list of earlier versions, which is
    what optuna-dashboard 0.21 tells infeasible trials by. Written with a trial's result: through Optuna it is a
    transaction of its own.
    """
    from optuna.study._constrained_optimization import _CONSTRAINTS_KEY

    return {f"{_CONSTRAINTS_KEY}:{name}": value, _CONSTRAINTS_KEY: [value]}


def make_proxy_server(storage: "BaseStorage", host: str, port: int, threads: ThreadPoolExecutor) -> Any:
    """A gRPC server for a storage, not started yet; Optuna has it since 4.2.

    The public ``run_grpc_proxy_server`` runs until the process is told to end.

    Raises:
        RuntimeError: the address cannot be listened on.
    """
    from optuna.storages import get_storage
    from optuna.storages._grpc.server import make_server

    return make_server(get_storage(storage), host, port, threads)
