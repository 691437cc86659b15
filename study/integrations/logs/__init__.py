"""Readers of training logs, one file for each form: record by record, so that memory does not grow with a log."""
