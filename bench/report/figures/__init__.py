"""Figures: how they look, what several topics draw alike, and how they become files."""
