"""What the worker's machine has, and what jobs need of it."""
