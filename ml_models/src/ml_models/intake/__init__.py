"""How a customer's file is read: its `dialect`, and the features that its `columns` are."""
