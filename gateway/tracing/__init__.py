"""What the links of a worker carried, for people who look."""
