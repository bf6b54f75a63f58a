"""The plant that `gridgate demo` plays: a battery at a 33 kV grid connection, over the real field protocols."""
