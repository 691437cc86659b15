"""What people run: the ``gradstudy`` command, one file per verb."""
