"""Studies that have no spec, as a report takes them: what their runs tell stands in its place."""
