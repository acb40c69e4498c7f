"""Trains, validates and exports the churn model: `python -m ml_models.training --data telco.csv`."""
