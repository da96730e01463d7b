"""What a run did, for people: the training report and the colours that every view shares."""

from rest_verl.viewing.metrics import read_metrics
from rest_verl.viewing.report import write_report, write_reports

__all__ = ["read_metrics", "write_report", "write_reports"]
