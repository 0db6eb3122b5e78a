"""From records to files: tables, statistics, figures and a page, from the records alone and without torch."""

from bench.report.exhibit import PartName
from bench.report.report import PARTS, start_drawing, write_report
from bench.report.report_data import ReportData
