"""What needs a GPU, in one script: ``python -m tests.gpu``."""
