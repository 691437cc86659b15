"""The one setting that a report recommends, and the fresh runs that confirm it."""
