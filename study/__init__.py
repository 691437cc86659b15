"""How settings are searched: specs, divergence, the worker loop and the reports."""
