"""The server of the dashboard and who may use it."""
