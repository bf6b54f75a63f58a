"""Forwarding to InfluxDB: in order, at least once, one point for each sample, nothing lost while it is away."""
