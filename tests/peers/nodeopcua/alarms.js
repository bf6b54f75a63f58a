// node-opcua's client against alarms: one JSON request a line on stdin, one JSON answer a line on stdout.
//
//   {"do": "connect", "url": ..., "certificate": ..., "key": ..., "pki": ..., "uri": ..., "user": ..., "password": ...}
//   {"do": "listen", "node": "i=2253", "type": "AlarmConditionType"}   event item with a where clause OfType
//   {"do": "heard", "count": n}                                        waits for n events in all and answers them
//   {"do": "refresh"}                                                  ConditionRefresh of the subscription
//   {"do": "acknowledge" | "confirm" | "comment", "condition": ..., "event": hex, "text": ...}
//   {"do": "call", "object": ..., "method": ..., "arguments": [{"type": "Double", "value": 1}]}
//   {"do": "history", "node": ..., "start": iso, "end": iso, "most": n}   raw values, every continuation point followed
"use strict";
const readline = require("node:readline");
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const FIELDS = [
  "EventId", "EventType", "SourceName", "Message", "Severity", "ConditionName", "Retain", "ConditionId",
  "ActiveState.Id", "AckedState.Id", "ConfirmedState.Id", "ShelvingState.CurrentState", "LimitState.CurrentState",
];
let client, session, subscription;
const events = [];

const plain = (value) => {
  if (value === null || value === undefined) return null;
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (value.text !== undefined) return value.text;
  return typeof value === "object" ? value.toString() : value;
};

const verbs = {
  async connect({ url, certificate, key, pki, uri, user, password }) {
    const manager = new OPCUACertificateManager({ rootFolder: pki, automaticallyAcceptUnknownCertificate: true });
    client = opcua.OPCUAClient.create({
      applicationUri: uri,
      securityPolicy: opcua.SecurityPolicy.Basic256Sha256,
      securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
      certificateFile: certificate,
      privateKeyFile: key,
      clientCertificateManager: manager,
      connectionStrategy: { maxRetry: 0, initialDelay: 100 },
      endpointMustExist: false,
      keepSessionAlive: false,
    });
    await client.connect(url);
    session = await client.createSession({ type: opcua.UserTokenType.UserName, userName: user, password });
    subscription = await session.createSubscription2({
      requestedPublishingInterval: 50, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10,
      maxNotificationsPerPublish: 100, publishingEnabled: true, priority: 1,
    });
    return {};
  },

  async listen({ node, type }) {
    const where = type ? opcua.ofType(type) : undefined;
    const filter = opcua.constructEventFilter(FIELDS.filter((name) => name !== "ConditionId"), where);
    filter.selectClauses.push(new opcua.SimpleAttributeOperand({
      typeDefinitionId: opcua.resolveNodeId("ConditionType"), browsePath: [], attributeId: opcua.AttributeIds.NodeId,
    }));
    const names = [...FIELDS.filter((name) => name !== "ConditionId"), "ConditionId"];
    const item = await subscription.monitor(
      { nodeId: opcua.resolveNodeId(node), attributeId: opcua.AttributeIds.EventNotifier },
      { queueSize: 100, discardOldest: true, samplingInterval: 0, filter }, opcua.TimestampsToReturn.Both);
    item.on("changed", (fields) => {
      events.push(Object.fromEntries(fields.map((field, at) => [names[at], plain(field.value)])));
    });
    return { status: item.statusCode.name };
  },

  async heard({ count }) {
    for (let turn = 0; turn < 1000 && events.length < count; turn++) await new Promise((done) => setTimeout(done, 10));
    return { events };
  },

  async refresh() {
    await opcua.callConditionRefresh(session, subscription.subscriptionId);
    return {};
  },

  async acknowledge({ condition, event, text }) {
    return { status: (await opcua.acknowledgeCondition(session, condition, Buffer.from(event, "hex"), text)).name };
  },

  async confirm({ condition, event, text }) {
    return { status: (await opcua.confirmCondition(session, condition, Buffer.from(event, "hex"), text)).name };
  },

  async comment({ condition, event, text }) {
    const result = await session.call({
      objectId: condition, methodId: opcua.resolveNodeId("ConditionType_AddComment"),
      inputArguments: [
        { dataType: opcua.DataType.ByteString, value: Buffer.from(event, "hex") },
        { dataType: opcua.DataType.LocalizedText, value: opcua.coerceLocalizedText(text) },
      ],
    });
    return { status: result.statusCode.name };
  },

  async call(request) {
    const result = await session.call({
      objectId: request.object, methodId: request.method,
      inputArguments: (request.arguments || []).map((one) => ({ dataType: opcua.DataType[one.type], value: one.value })),
    });
    return { status: result.statusCode.name };
  },

  async history({ node, start, end, most }) {
    const values = [];
    let continuationPoint, turns = 0, status = "";
    do {
      const result = await session.performMessageTransaction(new opcua.HistoryReadRequest({
        historyReadDetails: new opcua.ReadRawModifiedDetails({
          isReadModified: false, startTime: new Date(start), endTime: new Date(end), numValuesPerNode: most, returnBounds: false,
        }),
        timestampsToReturn: opcua.TimestampsToReturn.Both,
        releaseContinuationPoints: false,
        nodesToRead: [{ nodeId: node, continuationPoint }],
      }));
      const one = result.results[0];
      status = one.statusCode.name;
      values.push(...(one.historyData ? one.historyData.dataValues || [] : []).map(
        (value) => [value.value.value, value.sourceTimestamp.getTime(), value.statusCode.name]));
      continuationPoint = one.continuationPoint && one.continuationPoint.length ? one.continuationPoint : undefined;
      turns += 1;
    } while (continuationPoint);
    return { status, values, turns };
  },

  async disconnect() {
    await session.close();
    await client.disconnect();
    return {};
  },
};

async function answer(line) {
  try {
    const request = JSON.parse(line);
    return { ok: true, ...(await verbs[request.do](request)) };
  } catch (error) {
    return { ok: false, error: String((error && error.message) || error).split("\n")[0] };
  }
}

console.log = console.info = console.warn = console.error; // stdout is for answers alone
let last = Promise.resolve();
readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    last = last.then(() => answer(line)).then((out) => process.stdout.write(JSON.stringify(out) + "\n"));
  })
  .on("close", () => last.then(() => process.exit(0)));
