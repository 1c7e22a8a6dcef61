"""Reports: a leaderboard as tables, text, figures and a site.

Nothing here computes a number.
"""
