"""From records to files: tables, statistics, figures and pages, from the records alone and without torch."""

from bench.report.material import Material
from bench.report.report import PARTS, Part, write_report

__all__ = ["PARTS", "Material", "Part", "write_report"]
