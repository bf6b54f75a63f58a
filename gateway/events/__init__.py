"""What one master must be told, and has not yet confirmed."""

from gateway.events.journal import EventJournal, journal_path
from gateway.events.queue import MISSED, EventQueue
from gateway.events.record import EVENT, Events
from gateway.events.store import BindingName

__all__ = ["EVENT", "MISSED", "BindingName", "EventJournal", "EventQueue", "Events", "journal_path"]
