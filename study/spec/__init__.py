"""What defines a study: its spec, the factors that it varies, its seeds."""
