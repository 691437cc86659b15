"""What goes wrong with a task."""


class TaskError(ValueError):
    """A task, an option or data that cannot be used; the message is one sentence for the user."""
