"""Delivery: takes a stored message to a provider, with routing, fail-over, retries and delivery receipts."""
