SERVICE = "consumer_worker"
"""What log lines and health answers call this service."""
