"""One module a page: widgets, the view that they choose, and nothing else."""
