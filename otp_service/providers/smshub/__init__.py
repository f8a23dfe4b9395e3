"""The provider for CSU SMS Hub: adapter, result codes and config."""
