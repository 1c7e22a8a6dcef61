"""Checks that every adapter must pass; one function `check_<behaviour>` each."""
