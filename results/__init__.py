"""The results store: DuckDB with a landing folder in front of it."""
