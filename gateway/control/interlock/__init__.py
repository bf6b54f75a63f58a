"""Interlocks: the cause-and-effect matrix of a site."""
