"""The point-to-point test of a master: a sheet of points, driven one by one, ticked by people, printed at the end."""
