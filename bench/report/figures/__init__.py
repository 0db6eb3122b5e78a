"""Figures: their style, drawings that several topics share, and their files."""
