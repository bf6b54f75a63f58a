"""What one master must be told, and has not yet confirmed."""

from gateway.events.queue import EVENT, EventQueue, Events

__all__ = ["EVENT", "EventQueue", "Events"]
