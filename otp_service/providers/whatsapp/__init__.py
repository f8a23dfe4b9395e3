"""Meta's WhatsApp Cloud API: authentication templates, and webhooks with the status of messages."""
