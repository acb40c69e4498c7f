"""The contracts of RetainWise's services and other teams: messages, statuses, failures, result columns."""
