"""A static site of leaderboards.

Its plain files work from a file server and from a disk, and fetch nothing.
"""
