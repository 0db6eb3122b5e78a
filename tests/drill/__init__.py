"""Drills: runs and workers are killed, and disks are full. Users can run them, too: `make drill`."""
