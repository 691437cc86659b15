"""What was trained elsewhere: studies of plain Optuna programs, training logs of other programs."""
