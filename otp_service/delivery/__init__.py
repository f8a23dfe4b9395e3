"""From an accepted request to a gateway: route, compose, send, fail over, retry."""
