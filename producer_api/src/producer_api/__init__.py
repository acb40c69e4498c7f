"""RetainWise's HTTP API."""

SERVICE = "producer_api"
"""The service's name in its log lines, its traces and its health."""
