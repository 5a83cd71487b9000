"""The device memory that a job will need, from a run on tensors without data."""
