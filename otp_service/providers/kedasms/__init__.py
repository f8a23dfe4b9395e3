"""KedaSMS."""
