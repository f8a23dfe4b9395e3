"""The Redis adapters of the ports in `domain.ports`: one Lua script per transition, one typed method per script."""
