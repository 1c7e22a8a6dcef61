"""Leaderboard statistics: tables in, tables out, independent of the runner."""
