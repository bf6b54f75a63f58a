"""The HMI: a web page for technicians and an API, in a process of its own. Knows the heart, never a protocol."""

from typing import Final

from gateway.contracts.screen import Screen

SCREEN: Final = Screen(settings="hmi.settings:HmiSection", main="hmi.process:hmi_main")
