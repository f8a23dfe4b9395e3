"""Codes, hashes, sealing and proof tokens: the only room, beside a provider whose wire needs it, that has keys."""
