"""The results store: a DuckDB file with a landing folder."""
