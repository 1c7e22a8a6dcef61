"""A static site of leaderboards: plain files that work from a file server and from a disk, and ask nothing from anywhere."""
