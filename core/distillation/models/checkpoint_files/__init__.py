"""Third-party checkpoints: inspected without running code or allocating tensors, then read."""
