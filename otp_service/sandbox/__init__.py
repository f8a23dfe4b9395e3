"""For trying the service out and for its tests: an embedded server, an inbox to look into, a page. Never served."""
