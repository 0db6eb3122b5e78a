"""The page and the files about variants of methods and about their settings."""

from bench.report.ablations.page import ablation_files, ablation_sheets, ablations_page

__all__ = ["ablation_files", "ablation_sheets", "ablations_page"]
