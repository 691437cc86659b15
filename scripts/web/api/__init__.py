"""The JSON interface: what programs ask and get."""
