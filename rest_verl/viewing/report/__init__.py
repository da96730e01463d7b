"""The training report: what a run did, in curves, tables and remarks."""

from rest_verl.viewing.report.metrics import read_metrics
from rest_verl.viewing.report.write import write_report, write_reports

__all__ = ["read_metrics", "write_report", "write_reports"]
