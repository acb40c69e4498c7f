"""How a customer's file is read before any model sees it: its dialect, and which column is which feature."""
