"""Providers: the adapters that send messages through SMS gateways.

Each gateway has a package with the same modules: `adapter` (the methods of the port), `wire` (requests and responses),
`result_codes` (the gateway's codes, with their source, and the outcome of each) and `config` (its table in the
configuration). A gateway's response becomes an `Outcome` here and nowhere else.
"""
