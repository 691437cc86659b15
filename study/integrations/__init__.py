"""What was trained elsewhere: studies of plain Optuna programs, runs of other training loops."""
