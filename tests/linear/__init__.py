"""Tests of bench.linear."""
