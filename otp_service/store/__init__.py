"""Redis, and nothing else: one Lua file per transition, one typed method per file."""
