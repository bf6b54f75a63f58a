"""The site's configuration in the hands of an engineer: a candidate, its check, its use, and the way back."""
