"""The figures of a report, each a function from frames to a plotly figure."""
