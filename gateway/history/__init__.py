"""History: a store of compressed columns that needs nothing, and what is forwarded to others."""
