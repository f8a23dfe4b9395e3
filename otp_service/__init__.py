"""Proves that a person holds a phone number: one-time codes by SMS, kept only as hashes."""

__version__ = "0.1.0"
