"""benchbench: a distributed benchmark and leaderboard for methods that learn how to learn."""

__version__ = "0.1.0"

__all__ = ["__version__"]
