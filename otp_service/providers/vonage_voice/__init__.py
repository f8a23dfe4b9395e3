"""Voice calls of Vonage."""
