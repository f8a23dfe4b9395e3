"""For development and tests: an embedded store, simulated gateways, their control API and the try-it page.

`serve` imports nothing of this package.
"""
