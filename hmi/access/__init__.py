"""Who is asking, and may they: people, sessions, the guard at the door."""
