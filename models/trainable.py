"""What trials can be trained on: the data of a task, or a user's own module. Does not import torch."""

from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.models.tasks.values import ValueSequences
from gradstudy.models.user_module.loading import UserModule

TaskData = TokenPairs | ValueSequences
"""Both have ``train``, ``validation``, ``source_steps``, ``target_steps``, ``sizes``, ``decoder``, ``origin``,
``details``, ``reading`` and ``file_digest``."""

Trainable = TaskData | UserModule
