"""Tests, laid out as the packages they watch."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores. Threads of each would wait for those of the others: on tiny data
    # a fit takes up to 8 times as much of a core. Libraries read this when they are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
