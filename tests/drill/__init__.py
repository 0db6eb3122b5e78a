"""Drills: what a run survives. Users can run them, too: `make drill`."""
