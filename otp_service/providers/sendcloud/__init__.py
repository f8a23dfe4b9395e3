"""The provider for Aurora SendCloud: adapter, result codes and config."""
