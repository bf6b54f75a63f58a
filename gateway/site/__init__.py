"""A site's configuration: read with the place of every key, checked as a whole, compiled to a plan."""
