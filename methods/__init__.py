"""Adapters, by track; a new method is one file here."""
