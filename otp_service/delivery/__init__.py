"""Delivery: takes a stored message to a provider, with routing, failover, retries and delivery receipts."""
