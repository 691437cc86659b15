"""The largest learning rate at which a setting stays below 10% divergence, and how well it is known."""
