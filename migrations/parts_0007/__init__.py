"""The parts of migration 0007: one file for each group of tables."""
