"""The rules of a verification: pure, without I/O, clock or framework."""
