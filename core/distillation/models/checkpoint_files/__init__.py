"""Other people's checkpoints: looked through without running anything or setting memory aside, then read."""
