"""What trials can be trained on: the data of a task, or a user's own module."""

from gradstudy.models.tasks.data import TaskData
from gradstudy.models.user_module import UserModule

Trainable = TaskData | UserModule
