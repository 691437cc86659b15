"""Random numbers of a forward pass, made from the trial's own key."""
