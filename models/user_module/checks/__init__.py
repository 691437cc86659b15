"""What tells whether a model computes in a batch what it computes alone."""
