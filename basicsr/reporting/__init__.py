"""Results to look at: ``report.html``, comparisons of several of them, training curves."""

from basicsr.reporting.facts import circumstances
from basicsr.reporting.model import Report, ReportImage, ReportSet
from basicsr.reporting.page import link, write_report
from basicsr.reporting.thumbnails import Thumbnails, make_thumbnails

__all__ = [
    "Report",
    "ReportImage",
    "ReportSet",
    "Thumbnails",
    "circumstances",
    "link",
    "make_thumbnails",
    "write_report",
]
