"""Metrics: reads the log and says how the whole system does."""
