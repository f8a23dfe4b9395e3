"""Gateways that are not: real HTTP servers on loopback that check every byte and fail as they are told to."""
