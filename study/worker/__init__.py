"""A process that claims trials, trains them and stores what came of them."""
