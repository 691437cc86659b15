"""What every task loads: symbol pairs or real-valued sequences."""

from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.models.tasks.values import ValueSequences

TaskData = TokenPairs | ValueSequences
"""Both have ``train``, ``validation``, ``source_steps``, ``target_steps``, ``sizes``, ``decoder``, ``origin``,
``details``, ``file_digest``, ``to(device)`` and ``batch(numbers)``."""
