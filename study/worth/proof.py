"""How many fresh runs prove a setting. Imports nothing."""

PROOF_RUNS = 18
"""Fresh runs without a divergence whose 95% interval ends below 20%."""
