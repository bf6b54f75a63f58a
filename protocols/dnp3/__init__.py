"""DNP3 outstation (IEEE 1815-2012): see README.md in this folder."""
