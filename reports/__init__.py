"""Reports: what a leaderboard says, as tables, text, figures and a site; nothing here computes a number."""
