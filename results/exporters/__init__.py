"""Boards as text: one neutral table (`Report`), and one module for each form it is written in."""
