"""Alarms by ISA-18.2: definitions, states, what is shelved and by whom, kept over restarts."""

from gateway.alarms.catalogue import AlarmCatalogue, AlarmRules
from gateway.alarms.model import AlarmEvent, AlarmRecord, AlarmState, Condition, Priority

__all__ = ["AlarmCatalogue", "AlarmEvent", "AlarmRecord", "AlarmRules", "AlarmState", "Condition", "Priority"]
