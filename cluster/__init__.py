"""Dask: planning, submission, backends."""
