"""The schedules of the learning rate by name. Imports nothing that is slow to import."""

from typing import Literal, get_args

ScheduleName = Literal["constant", "linear", "cosine", "exponential", "inverse_sqrt", "halving"]
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
