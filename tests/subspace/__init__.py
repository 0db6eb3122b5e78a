"""Tests of bench.subspace."""
