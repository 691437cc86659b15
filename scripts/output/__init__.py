"""Rows of a query as files and as lines."""
