"""Trials in the slots of arrays, from their data to their results."""
