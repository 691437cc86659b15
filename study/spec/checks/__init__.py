"""What of a spec fits together, and what of it means nothing."""
