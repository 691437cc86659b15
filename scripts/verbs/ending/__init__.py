"""Verbs that end studies."""
