"""What one master must be told, and has not yet confirmed."""
