"""Timings and memory, by pytest-benchmark."""
