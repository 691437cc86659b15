"""What may still go wrong in longer training: frontiers that move, a late hazard, the causes that compete."""
