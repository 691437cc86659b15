"""Workers on this machine or on a Ray cluster, their progress and their orderly stop."""
