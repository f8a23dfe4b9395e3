"""EIMS / Ejoin, the Indonesian gateway."""
