"""What a setting is worth: its expected loss, its risk, and both in one number; search and answer share it."""
