"""The report: what a comparison found, as plain frozen data, and its picture."""

from alignment.report.data import AlignmentReport, Best, Grid, MetricResult, ReportWarning
from alignment.report.heatmap import heatmap

__all__ = ["AlignmentReport", "Best", "Grid", "MetricResult", "ReportWarning", "heatmap"]
