"""Any SMS gateway with an HTTP API, from configuration alone."""
