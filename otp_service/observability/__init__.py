"""What an operator sees: log lines and metrics."""

from otp_service.observability.logs import LOG, REQUEST_ID, configure_logging, redact
from otp_service.observability.metrics import METRICS, Metrics, metrics_page, share_metrics

__all__ = ["LOG", "METRICS", "REQUEST_ID", "Metrics", "configure_logging", "metrics_page", "redact", "share_metrics"]
