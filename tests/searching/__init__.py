"""Tests of searching with kept models."""
