"""What a job costs as far as its spec tells: passes of networks, and what its memory depends on."""
