"""Tests of bench.registry."""
