"""What a user's module keeps from one batch to the next."""
