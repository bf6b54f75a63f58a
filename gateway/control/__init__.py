"""Local control: what must work when everything else is cut off. Pure controllers on a process image."""
