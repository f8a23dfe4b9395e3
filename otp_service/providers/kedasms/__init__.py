"""The provider for KedaSMS: adapter, result codes and config."""
