"""From tables to files: Markdown, LaTeX and CSV, from the records alone and without torch."""

from bench.reporting.report import write_report

__all__ = ["write_report"]
