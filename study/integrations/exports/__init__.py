"""Studies as the runs of other programs, written by their own libraries."""
