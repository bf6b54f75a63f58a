// node-opcua as a client that subscribes to many points for hours, and makes a new session after each loss of the link.
//
//   node subscriber.js '{"url": ..., "namespace": ":points", "nodes": [...], "interval": 250, "queue": 100, "folder": ...}'
//
// A JSON line on stdout for each thing that happens; it ends with its input:
//   {"up": true}                                      every point is monitored
//   {"down": "why"}                                   the session is over
//   {"told": [[node's number, value, status, source time ms, ps], ...]}
"use strict";
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const asked = JSON.parse(process.argv[2]);
const AT_ONCE = 500, SILENT_MS = 6000, AGAIN_MS = 500, HANDLE = 1000000;

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function row(item) {
  const { value, statusCode, sourceTimestamp, sourcePicoseconds } = item.value;
  return [item.clientHandle - HANDLE, value ? Number(value.value) : null, statusCode.value,
    sourceTimestamp ? sourceTimestamp.getTime() : 0, sourcePicoseconds || 0];
}

async function monitor(session, subscription) {
  const spaces = await session.readNamespaceArray();
  const space = spaces.findIndex((uri) => uri.endsWith(asked.namespace));
  if (space < 0) throw new Error(`no namespace ends with ${asked.namespace}`);
  for (let at = 0; at < asked.nodes.length; at += AT_ONCE) {
    const response = await session.createMonitoredItems({
      subscriptionId: subscription.subscriptionId, timestampsToReturn: opcua.TimestampsToReturn.Both,
      itemsToCreate: asked.nodes.slice(at, at + AT_ONCE).map((name, more) => ({
        itemToMonitor: { nodeId: opcua.makeNodeId(name, space), attributeId: opcua.AttributeIds.Value },
        monitoringMode: opcua.MonitoringMode.Reporting,
        requestedParameters: { clientHandle: HANDLE + at + more, samplingInterval: 0, queueSize: asked.queue, discardOldest: true },
      })),
    });
    const bad = response.results.filter((result) => result.statusCode.value !== 0);
    if (bad.length) throw new Error(`${bad.length} points are not monitored: ${bad[0].statusCode.name}`);
  }
}

async function session(certificates) {
  const client = opcua.OPCUAClient.create({
    clientCertificateManager: certificates, endpointMustExist: false, connectionStrategy: { maxRetry: 0, initialDelay: 100 },
    requestedSessionTimeout: 60000, transportTimeout: 15000, keepSessionAlive: false,
  });
  let up = false, heardAt = Date.now(), why = "";
  client.on("connection_lost", (words) => { why = why || `connection lost: ${words}`; });
  client.on("close", (error) => { why = why || `closed: ${error ? error.message : ""}`; });
  try {
    await client.connect(asked.url);
    const made = await client.createSession();
    const subscription = await made.createSubscription2({
      requestedPublishingInterval: asked.interval, requestedLifetimeCount: 240, requestedMaxKeepAliveCount: 8,
      maxNotificationsPerPublish: 2000, publishingEnabled: true, priority: 1,
    });
    subscription.on("keepalive", () => { heardAt = Date.now(); });
    subscription.on("status_changed", (status) => { why = why || `subscription: ${status.name}`; });
    subscription.on("raw_notification", (message) => {
      heardAt = Date.now();
      if (why) return;
      for (const data of message.notificationData ?? []) if (data.monitoredItems) say({ told: data.monitoredItems.map(row) });
    });
    await monitor(made, subscription);
    if (!why) { up = true; say({ up: true }); }
    while (!why) {
      await wait(200);
      if (Date.now() - heardAt > SILENT_MS) why = "nothing heard";
    }
  } catch (error) {
    why = why || String(error.message ?? error).split("\n")[0];
  }
  if (up || why) say({ down: why });
  await Promise.race([client.disconnect().catch(() => 0), wait(3000)]);
}

async function main() {
  const certificates = new OPCUACertificateManager({ rootFolder: asked.folder, automaticallyAcceptUnknownCertificate: true });
  await certificates.initialize();
  for (;;) { await session(certificates); await wait(AGAIN_MS); }
}

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
process.on("uncaughtException", (error) => { say({ down: `uncaught: ${error.message}` }); process.exit(1); });
main();
