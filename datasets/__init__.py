"""The datasets: one file each, found by the registry; the embedded data lies in `files/`."""
