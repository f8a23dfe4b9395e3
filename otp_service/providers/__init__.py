"""One gateway, one file. What a gateway says becomes an outcome here, and nowhere else."""
