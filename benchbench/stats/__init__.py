"""Leaderboard statistics: tables in, tables out; nothing here knows the runner."""
