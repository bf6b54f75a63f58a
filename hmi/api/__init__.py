"""Calls by topic: each module has a `TOPIC`."""
