"""Aurora SendCloud."""
