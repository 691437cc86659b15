"""What runs of smaller models say of a larger one."""
