"""Codes, hashes, encryption and proof tokens. All keys are here, except those that the protocol of a provider needs."""
