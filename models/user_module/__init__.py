"""The user's own model, trained as an array where that was verified."""
