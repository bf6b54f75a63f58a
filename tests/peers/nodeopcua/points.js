// node-opcua's client as a peer: one JSON request a line on stdin, one JSON answer a line on stdout.
//
//   {"do": "connect", "url": ..., "policy": "None", "mode": 1, "certificate": ..., "key": ..., "user": ..., "password": ...}
//   {"do": "walk", "node": "i=85"}                      every variable below, by BrowseNext where needed
//   {"do": "read", "nodes": [...]}                      values
//   {"do": "subscribe", "interval": 100, ...}           a subscription; answers its id
//   {"do": "monitor", "items": [{"node": ..., "sampling": 0, "queue": 1, ...}]}
//   {"do": "heard", "count": n}                         waits for n notifications and answers [item, value, status, time]
//   {"do": "write", ...} {"do": "call", ...} {"do": "raw", "request": "SetTriggeringRequest", ...} {"do": "end"}
"use strict";
const readline = require("readline");
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const {
  OPCUAClient, MessageSecurityMode, SecurityPolicy, AttributeIds, DataType, Variant, UserTokenType,
  TimestampsToReturn, DataChangeFilter, DeadbandType, DataChangeTrigger, MonitoringMode, ClientSubscription,
} = opcua;

let client, session, subscription;
const heard = [];
let counted = 0, expected = Infinity, waiters = [];
let last = [], disorder = 0, bytesAtStart = 0;

const status = (code) => code.value ?? 0;
const show = (dataValue) => ({
  value: dataValue.value ? plain(dataValue.value.value) : null,
  type: dataValue.value ? DataType[dataValue.value.dataType] : null,
  status: status(dataValue.statusCode),
  source: dataValue.sourceTimestamp ? dataValue.sourceTimestamp.getTime() : null,
  server: dataValue.serverTimestamp ? dataValue.serverTimestamp.getTime() : null,
});
const plain = (value) => (value && value.toJSON ? value.toJSON() : value);

async function connect(request) {
  const certificates = new OPCUACertificateManager({ rootFolder: request.folder, automaticallyAcceptUnknownCertificate: true });
  await certificates.initialize();
  const options = {
    clientCertificateManager: certificates,
    securityPolicy: SecurityPolicy[request.policy ?? "None"],
    securityMode: request.mode ?? MessageSecurityMode.None,
    endpointMustExist: false,
    applicationUri: request.uri,
    connectionStrategy: { maxRetry: 0, initialDelay: 100 },
    requestedSessionTimeout: 60000,
    keepSessionAlive: false,
    transportTimeout: 60000,
  };
  if (request.certificate) { options.certificateFile = request.certificate; options.privateKeyFile = request.key; }
  client = OPCUAClient.create(options);
  await client.connect(request.url);
  session = await client.createSession(
    request.user ? { type: UserTokenType.UserName, userName: request.user, password: request.password } : undefined);
  return { session: session.sessionId.toString() };
}

async function browseAll(node, most) {
  let result = await session.browse({
    nodeId: node, referenceTypeId: "HierarchicalReferences", includeSubtypes: true, browseDirection: 0,
    nodeClassMask: 0, resultMask: 63, requestedMaxReferencesPerNode: most,
  });
  let references = result.references ?? [];
  let turns = 0;
  while (result.continuationPoint && result.continuationPoint.length) {
    result = await session.browseNext(result.continuationPoint, false);
    references = references.concat(result.references ?? []);
    turns += 1;
  }
  return [references, turns];
}

async function walk(request) {
  session.requestedMaxReferencesPerNode = request.most ?? 0;
  const variables = [], todo = [request.node], seen = new Set(todo);
  let widest = 0, turns = 0;
  while (todo.length) {
    const [references, more] = await browseAll(todo.pop(), request.most ?? 0);
    widest = Math.max(widest, references.length);
    turns += more;
    for (const reference of references) {
      const id = reference.nodeId.toString();
      if (seen.has(id) || !id.startsWith("ns=2")) continue;
      seen.add(id);
      if (reference.nodeClass === 2) { if (!id.includes("|")) variables.push(id.slice("ns=2;s=".length)); }
      else if (reference.nodeClass === 1) todo.push(id);
    }
  }
  return { variables, widest, turns };
}

async function read(request) {
  const values = await session.read(
    request.nodes.map((nodeId) => ({ nodeId, attributeId: request.attribute ?? AttributeIds.Value,
      indexRange: undefined })), request.maxAge ?? 0);
  return { values: values.map(show) };
}

async function subscribe(request) {
  subscription = await session.createSubscription2({
    requestedPublishingInterval: request.interval, requestedLifetimeCount: request.lifetime ?? 1000,
    requestedMaxKeepAliveCount: request.keepAlive ?? 10, maxNotificationsPerPublish: request.most ?? 0,
    publishingEnabled: true, priority: 1,
  });
  return { id: subscription.subscriptionId, interval: subscription.publishingInterval };
}

function filterOf(item) {
  if (item.deadband === undefined && item.trigger === undefined) return undefined;
  return new DataChangeFilter({
    trigger: DataChangeTrigger[item.trigger ?? "StatusValue"],
    deadbandType: DeadbandType[item.deadbandType ?? "None"], deadbandValue: item.deadband ?? 0,
  });
}

function onChange(name, dataValue) {
  counted += 1;
  heard.push([name, ...Object.values(show(dataValue))]);
  wake();
}

function wake() {
  if (counted >= expected) { for (const resolve of waiters.splice(0)) resolve(); }
}

async function monitor(request) {
  const answers = [];
  for (const item of request.items) {
    const monitored = await subscription.monitor(
      { nodeId: item.node, attributeId: item.attribute ?? AttributeIds.Value },
      { samplingInterval: item.sampling ?? 0, discardOldest: item.discardOldest ?? true, queueSize: item.queue ?? 1,
        filter: filterOf(item) },
      TimestampsToReturn.Both, MonitoringMode[item.mode ?? "Reporting"]);
    monitored.on("changed", (dataValue) => onChange(item.node, dataValue));
    answers.push({ status: monitored.statusCode ? status(monitored.statusCode) : 0, id: monitored.monitoredItemId,
      sampling: monitored.result?.revisedSamplingInterval, queue: monitored.result?.revisedQueueSize });
  }
  return { items: answers };
}

// Many items at once; their notifications are only counted, and checked to come in order (values grow).
async function flood(request) {
  const first = last.length;
  const count = request.nodes.length;
  last = last.concat(new Array(count).fill(-Infinity));
  if (first === 0) subscription.on("raw_notification", (message) => {
    for (const data of message.notificationData ?? []) {
      for (const item of data.monitoredItems ?? []) {
        counted += 1;
        const at = item.clientHandle - 1000000, value = item.value.value ? item.value.value.value : NaN;
        if (!(value > last[at])) disorder += 1;
        last[at] = value;
      }
    }
    wake();
  });
  const began = process.hrtime.bigint();
  const response = await session.createMonitoredItems({
    subscriptionId: subscription.subscriptionId, timestampsToReturn: TimestampsToReturn.Both,
    itemsToCreate: request.nodes.map((nodeId, at) => ({
      itemToMonitor: { nodeId: opcua.resolveNodeId(nodeId), attributeId: AttributeIds.Value },
      monitoringMode: MonitoringMode.Reporting,
      requestedParameters: { clientHandle: 1000000 + first + at, samplingInterval: 0, queueSize: request.queue, discardOldest: true },
    })),
  });
  const bad = response.results.filter((result) => result.statusCode.value !== 0).length;
  return { bad, ms: Number(process.hrtime.bigint() - began) / 1e6, ids: response.results.map((r) => r.monitoredItemId) };
}

async function hear(request) {
  expected = request.count;
  if (counted < expected) {
    let timer;
    const late = new Promise((resolve) => { timer = setTimeout(resolve, request.timeout ?? 10000); });
    await Promise.race([late, new Promise((resolve) => waiters.push(resolve))]);
    clearTimeout(timer);
  }
  const out = { count: counted, disorder, heard: heard.splice(0) };
  counted = 0; expected = Infinity; disorder = 0;
  return out;
}

let writing;

async function write(request) {
  writing = written(request);
  return request.later ? {} : writing;
}

async function written(request) {
  const codes = await session.write(request.values.map(({ node, value, type, attribute }) => ({
    nodeId: node, attributeId: attribute ?? AttributeIds.Value,
    value: { value: new Variant({ dataType: DataType[type ?? "Double"], value }) } })));
  return { codes: (Array.isArray(codes) ? codes : [codes]).map(status) };
}

async function call(request) {
  const result = await session.call({ objectId: request.object, methodId: request.method,
    inputArguments: (request.arguments ?? []).map(({ type, value }) => new Variant({ dataType: DataType[type], value })) });
  return { status: status(result.statusCode), arguments: (result.inputArgumentResults ?? []).map(status),
    outputs: (result.outputArguments ?? []).map((variant) => plain(variant.value)) };
}

async function raw(request) {
  const response = await session.performMessageTransactionAsync?.(new opcua[request.request](request.fields));
  return { response: plain(response) };
}

async function modify(request) {
  const fields = request.request === "modify"
    ? await session.modifySubscription({ subscriptionId: subscription.subscriptionId, ...request.fields })
    : await session.setPublishingMode(request.enabled, subscription.subscriptionId);
  return { response: plain(fields) };
}

async function drop() {
  await subscription.terminate();
  counted = 0; heard.splice(0);
  return {};
}

async function end() {
  if (session) await session.close(true);
  if (client) await client.disconnect();
  return {};
}

const verbs = { written: () => writing, connect, walk, read, subscribe, monitor, flood, heard: hear, write, call, raw, modify, drop, end };

async function main() {
  console.log(JSON.stringify({ ready: true }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    try {
      console.log(JSON.stringify(await verbs[request.do](request)));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error.message ?? error).split("\n")[0] }));
    }
    if (request.do === "end") break;
  }
  process.exit(0);
}
main();
