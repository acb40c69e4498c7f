"""What RetainWise's services and other teams agree on: messages, statuses, failures and result columns."""
