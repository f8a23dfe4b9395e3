"""Voice calls of Twilio."""
