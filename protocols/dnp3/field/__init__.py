"""Outstations as field devices: the master's side, on the same link, transport and object modules."""
