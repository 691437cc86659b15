"""The pages of the service: all studies, the report of one while it runs, and what is told where that fails."""
