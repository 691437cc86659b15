"""The optimizer of a study: what fits together, and what of it is searched."""
