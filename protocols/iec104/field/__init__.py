"""The controlling side: a downstream RTU as a field device. See README.md in the folder above."""
