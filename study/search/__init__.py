"""Which settings are tried next, and when a study knows enough."""
