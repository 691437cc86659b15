"""What other programs made: their training logs."""
