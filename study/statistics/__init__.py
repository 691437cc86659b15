"""Rates, importances and sensitivities with their intervals, from rows of ``trial_result``."""
