"""Optimisers of hyper-parameters."""
