"""Frequency response: curves, sources, rate of change, droop. Pure: time and readings are passed in."""
