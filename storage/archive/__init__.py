"""Steps of trials that have ended, moved from the database into Parquet files that reports still read."""
