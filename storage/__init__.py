"""What is kept: the schema, its migrations, claims, the recorder and the queries."""
