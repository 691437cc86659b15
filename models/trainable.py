"""What trials can be trained on: the data of a task, or a user's own module."""

from gradstudy.models.tasks.batches import TaskData
from gradstudy.models.user_module.loading import UserModule

Trainable = TaskData | UserModule
