"""An SQS consumer that keeps its messages' leases alive and settles each by its handler's outcome."""
