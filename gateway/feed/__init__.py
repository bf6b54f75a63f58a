"""The change feed: the one interface between the core and every other process."""
