"""Evidence of the frequency response: what happened around each excursion, and what it is worth."""
