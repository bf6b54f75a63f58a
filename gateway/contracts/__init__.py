"""What a protocol package implements and what it is given.

`gateway.contracts.settings` (pydantic models) is kept apart: it is imported only while a site is checked.
"""

from gateway.contracts.command import (
    Action,
    Command,
    CommandPort,
    OnOutcome,
    Origin,
    Outcome,
    Pulse,
    Reason,
    Stage,
)
from gateway.contracts.driver import (
    DeviceState,
    DriverPlan,
    DriverPort,
    FieldDriver,
    FieldProtocol,
    FieldSettings,
    FieldSimulator,
    Tool,
    Write,
    WriteLost,
    WriteRefused,
)
from gateway.contracts.log import Log
from gateway.contracts.places import ConfigError, Place, Problem, Report, nearest
from gateway.contracts.server import (
    AlarmsView,
    DescribedFrame,
    DocumentWriter,
    FrameDescriber,
    FrameTrace,
    GridProtocol,
    GridSettings,
    LinkName,
    OutputServer,
    ServerPort,
    TableView,
)

__all__ = [
    "LinkName",
    "FrameTrace",
    "FrameDescriber",
    "DocumentWriter",
    "DescribedFrame",
    "Action",
    "AlarmsView",
    "Command",
    "CommandPort",
    "ConfigError",
    "DeviceState",
    "DriverPlan",
    "DriverPort",
    "FieldDriver",
    "FieldProtocol",
    "FieldSettings",
    "FieldSimulator",
    "GridProtocol",
    "GridSettings",
    "Log",
    "OnOutcome",
    "Origin",
    "Outcome",
    "OutputServer",
    "Place",
    "Problem",
    "Pulse",
    "Reason",
    "Report",
    "ServerPort",
    "Stage",
    "TableView",
    "Tool",
    "Write",
    "WriteLost",
    "WriteRefused",
    "nearest",
]
