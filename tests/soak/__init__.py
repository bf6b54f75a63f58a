"""The ledger soak: everybody writes down what was made and what was told, and the books are compared."""
