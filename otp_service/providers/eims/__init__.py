"""The provider for EIMS / Ejoin: adapter, result codes and config."""
