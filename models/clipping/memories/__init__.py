"""What strategies remember of earlier steps, for each slot of an array or for one training loop."""
