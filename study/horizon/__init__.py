"""What the best settings of a short study do when they are trained longer."""
