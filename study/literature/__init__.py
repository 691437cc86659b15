"""Experiments of the literature as specs, with what they are expected to show."""
