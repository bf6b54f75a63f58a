"""Commands that were given: their records read back, and each one's story."""
