"""Vonage, formerly Nexmo."""
