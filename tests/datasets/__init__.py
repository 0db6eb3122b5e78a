"""Tests of the datasets: each released layout, written small, and the real data at hand."""
