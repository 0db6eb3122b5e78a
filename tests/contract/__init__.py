"""Tests of bench.contract."""
