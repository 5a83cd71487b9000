"""The rows of load.md: one module each, and their formatting."""
