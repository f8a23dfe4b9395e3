"""Simulated gateways: HTTP servers on loopback that validate every byte of a request and fail as scripted."""
