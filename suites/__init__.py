"""Suite definitions (TOML) and the loaders that turn them into tasks."""
