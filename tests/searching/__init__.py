"""Tests of searching with stored models."""
