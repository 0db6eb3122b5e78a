"""Versions of numbers: a small grid that shows whether they have moved, and the command that raises them."""
