"""Tests of the execution of tasks."""
