"""Where results are when nobody says where."""

STORAGE_VARIABLE = "GRADSTUDY_STORAGE"
"""The variable of the environment that names the database."""
DEFAULT_STORAGE = "sqlite:///gradstudy.db"
"""The database without it, in the working folder."""
