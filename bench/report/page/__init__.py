"""The page: one HTML file with everything that a report says, for any browser, without a network."""

from bench.report.page.building import page_html

__all__ = ["page_html"]
