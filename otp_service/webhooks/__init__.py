"""Webhooks: take the events that wait in the store and deliver them, signed, to the endpoints of the config."""
