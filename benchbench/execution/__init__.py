"""Execution of one trial in a child process, with enforced limits."""
