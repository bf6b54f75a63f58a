"""Values of the Server object (OPC 10000-5, 6.3): status, capabilities, limits; and its two methods."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateway import __version__
from protocols.opcua.bodies import MAX_OPERATIONS
from protocols.opcua.commandservice import MAX_COMMANDS, CallResult, Method
from protocols.opcua.itemservice import item_handles
from protocols.opcua.monitoring import MAX_QUEUE
from protocols.opcua.plan import ServerPlan
from protocols.opcua.subscriptions import Subscriptions
from protocols.opcua.uastack import Codes, Ids, ua
from protocols.opcua.viewservice import MAX_CONTINUATION_POINTS

_T = ua.VariantType
RUNNING = 0


def namespace_uri(plan: ServerPlan) -> str:
    """Of the points' names: node ids are one server's own."""
    return f"urn:gridgate:{plan.name}:points"


def server_values(plan: ServerPlan, born: datetime, subscriptions: Subscriptions) -> dict[int, Any]:
    """By numeric id of a standard variable: its Variant, or what makes its DataValue."""
    build = ua.BuildInfo(
        ProductUri="urn:gridgate",
        ManufacturerName="GridGate",
        ProductName="GridGate OPC UA server",
        SoftwareVersion=__version__,
        BuildNumber=__version__,
        BuildDate=born,
    )

    def status() -> Any:
        now = datetime.now(UTC)
        value = ua.ServerStatusDataType(
            StartTime=born, CurrentTime=now, State=ua.ServerState.Running, BuildInfo=build, SecondsTillShutdown=0
        )
        return _now(ua.Variant(value, _T.ExtensionObject))

    limits = {
        Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead: MAX_OPERATIONS,
        Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse: MAX_OPERATIONS,
        Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds: MAX_OPERATIONS,
        Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes: MAX_OPERATIONS,
        Ids.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall: MAX_OPERATIONS,
        Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite: MAX_COMMANDS,
        Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall: MAX_COMMANDS,
        Ids.Server_ServerCapabilities_MaxSessions: plan.limits.sessions,
        Ids.Server_ServerCapabilities_MaxSubscriptions: subscriptions.caps.subscriptions,
        Ids.Server_ServerCapabilities_MaxMonitoredItems: subscriptions.caps.items,
        Ids.Server_ServerCapabilities_MaxSubscriptionsPerSession: subscriptions.caps.subscriptions_per_session,
        Ids.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription: subscriptions.caps.items_per_subscription,
        Ids.Server_ServerCapabilities_MaxMonitoredItemsQueueSize: MAX_QUEUE,
        Ids.Server_ServerCapabilities_MaxArrayLength: plan.limits.array_length,
    }
    return {
        **{identifier: ua.Variant(value, _T.UInt32) for identifier, value in limits.items()},
        Ids.Server_NamespaceArray: _strings(
            ["http://opcfoundation.org/UA/", plan.application_uri, namespace_uri(plan)]
        ),
        Ids.Server_ServerArray: _strings([plan.application_uri]),
        Ids.Server_ServerCapabilities_MaxBrowseContinuationPoints: ua.Variant(MAX_CONTINUATION_POINTS, _T.UInt16),
        Ids.Server_ServerCapabilities_MaxQueryContinuationPoints: ua.Variant(0, _T.UInt16),
        Ids.Server_ServerCapabilities_MaxHistoryContinuationPoints: ua.Variant(0, _T.UInt16),
        Ids.Server_ServerCapabilities_MinSupportedSampleRate: ua.Variant(0.0, _T.Double),
        Ids.Server_ServerCapabilities_LocaleIdArray: _strings(["en"]),
        Ids.Server_ServerCapabilities_ServerProfileArray: _strings([]),
        Ids.Server_ServiceLevel: ua.Variant(255, _T.Byte),
        Ids.Server_Auditing: ua.Variant(False, _T.Boolean),
        Ids.Server_ServerDiagnostics_EnabledFlag: ua.Variant(False, _T.Boolean),
        Ids.Server_ServerRedundancy_RedundancySupport: ua.Variant(0, _T.Int32),
        Ids.Server_ServerStatus: status,
        Ids.Server_ServerStatus_StartTime: ua.Variant(born, _T.DateTime),
        Ids.Server_ServerStatus_CurrentTime: lambda: _now(ua.Variant(datetime.now(UTC), _T.DateTime)),
        Ids.Server_ServerStatus_State: ua.Variant(RUNNING, _T.Int32),
        **_build_values(build),
        Ids.Server_ServerStatus_SecondsTillShutdown: ua.Variant(0, _T.UInt32),
        Ids.Server_ServerStatus_ShutdownReason: ua.Variant(ua.LocalizedText(""), _T.LocalizedText),
    }


def _build_values(build: Any) -> dict[int, Any]:
    """BuildInfo, whole and in parts."""
    return {
        Ids.Server_ServerStatus_BuildInfo: ua.Variant(build, _T.ExtensionObject),
        Ids.Server_ServerStatus_BuildInfo_ProductUri: ua.Variant(build.ProductUri, _T.String),
        Ids.Server_ServerStatus_BuildInfo_ManufacturerName: ua.Variant(build.ManufacturerName, _T.String),
        Ids.Server_ServerStatus_BuildInfo_ProductName: ua.Variant(build.ProductName, _T.String),
        Ids.Server_ServerStatus_BuildInfo_SoftwareVersion: ua.Variant(build.SoftwareVersion, _T.String),
        Ids.Server_ServerStatus_BuildInfo_BuildNumber: ua.Variant(build.BuildNumber, _T.String),
        Ids.Server_ServerStatus_BuildInfo_BuildDate: ua.Variant(build.BuildDate, _T.DateTime),
    }


def server_methods(subscriptions: Subscriptions) -> Callable[[Any, Any], Method | None]:
    """GetMonitoredItems and ResendData (OPC 10000-5, 9.1 and 9.2)."""

    async def items(session: Any, arguments: list[Any]) -> CallResult:
        wrong = _check(arguments)
        if wrong is not None:
            return wrong
        ids, handles = item_handles(subscriptions.find(session, int(arguments[0].Value)))
        outputs = tuple(ua.Variant(numbers, _T.UInt32, is_array=True) for numbers in (ids, handles))
        return CallResult(outputs=outputs)

    async def resend(session: Any, arguments: list[Any]) -> CallResult:
        wrong = _check(arguments)
        if wrong is not None:
            return wrong
        subscriptions.resend(subscriptions.find(session, int(arguments[0].Value)))
        return CallResult()

    methods: dict[int, Method] = {Ids.Server_GetMonitoredItems: items, Ids.Server_ResendData: resend}

    def find(target: Any, method: Any) -> Method | None:
        ours = target == ua.NodeId(Ids.Server) and method.NamespaceIndex == 0
        return methods.get(method.Identifier) if ours else None

    return find


def _check(arguments: list[Any]) -> CallResult | None:
    if len(arguments) != 1:
        return CallResult(int(Codes.BadTooManyArguments if arguments else Codes.BadArgumentsMissing))
    if arguments[0].VariantType != _T.UInt32:
        return CallResult(int(Codes.BadInvalidArgument), (int(Codes.BadTypeMismatch),))
    return None


def _strings(values: list[str]) -> Any:
    return ua.Variant(values, _T.String, is_array=True)


def _now(variant: Any) -> Any:
    now = datetime.now(UTC)
    return ua.DataValue(variant, ua.StatusCode(), now, now)
