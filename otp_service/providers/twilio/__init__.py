"""Twilio Programmable Messaging: the Messages API and its status callbacks."""
