"""The rules and values of the service: pure, without I/O, a clock or a framework."""
