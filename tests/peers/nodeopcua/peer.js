// node-opcua as a client that a test drives: one JSON request a line on stdin, one JSON answer a line on stdout.
//
//   {"verb": "connect", "url": ..., "policy": ..., "mode": ..., "certificate": ..., "key": ..., "pki": ..., "user": ..., "password": ...}
//   -> {"ok": true} or {"ok": false, "error": "..."}
//
// A verb is one function in `verbs`; its answer is what it returns.
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const readline = require("node:readline");
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

let client = null;
let session = null;

function manager(folder) {
  return new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
}

function plain(value) {
  if (typeof value === "bigint") return value.toString();
  return value;
}

function dataValue(value) {
  return {
    value: value.value ? plain(value.value.value) : null,
    type: value.value ? opcua.DataType[value.value.dataType] : null,
    status: value.statusCode.name,
    source_time: value.sourceTimestamp ? value.sourceTimestamp.toISOString() : null,
    server_time: value.serverTimestamp ? value.serverTimestamp.toISOString() : null,
  };
}

const verbs = {
  async endpoints({ url, pki }) {
    const asking = opcua.OPCUAClient.create({ endpointMustExist: false, clientCertificateManager: manager(pki) });
    await asking.connect(url);
    const found = await asking.getEndpoints();
    const servers = await asking.findServers();
    await asking.disconnect();
    return {
      endpoints: found.map((e) => ({
        url: e.endpointUrl,
        policy: e.securityPolicyUri.split("#")[1],
        mode: e.securityMode,
        tokens: e.userIdentityTokens.map((t) => t.policyId),
      })),
      servers: servers.map((s) => s.applicationUri),
    };
  },

  async connect({ url, policy, mode, certificate, key, pki, user, password, uri, lifetime_ms, user_certificate, user_key }) {
    client = opcua.OPCUAClient.create({
      applicationUri: uri,
      securityPolicy: opcua.SecurityPolicy[policy],
      securityMode: mode,
      certificateFile: certificate,
      privateKeyFile: key,
      clientCertificateManager: manager(pki),
      connectionStrategy: { maxRetry: 0, initialDelay: 100 },
      defaultSecureTokenLifetime: lifetime_ms || 600000,
      endpointMustExist: false,
      keepSessionAlive: false,
    });
    await client.connect(url);
    let identity = { type: opcua.UserTokenType.Anonymous };
    if (user) identity = { type: opcua.UserTokenType.UserName, userName: user, password };
    if (user_certificate) {
      identity = {
        type: opcua.UserTokenType.Certificate,
        certificateData: new crypto.X509Certificate(fs.readFileSync(user_certificate)).raw,
        privateKey: fs.readFileSync(user_key, "utf8"),
      };
    }
    session = await client.createSession(identity);
    return { session: session.sessionId.toString() };
  },

  async browse({ node }) {
    let result = await session.browse(node);
    const names = result.references.map((r) => r.browseName.name);
    const ids = result.references.map((r) => r.nodeId.toString());
    while (result.continuationPoint && result.continuationPoint.length) {
      result = await session.browseNext(result.continuationPoint, false);
      names.push(...result.references.map((r) => r.browseName.name));
      ids.push(...result.references.map((r) => r.nodeId.toString()));
    }
    return { status: result.statusCode.name, names, ids };
  },

  async read({ nodes, attribute }) {
    const attributeId = opcua.AttributeIds[attribute || "Value"];
    const values = await session.read(nodes.map((nodeId) => ({ nodeId, attributeId })));
    return { values: values.map(dataValue) };
  },

  async renewed() {
    return { count: client.tokenRenewalCount || 0 };
  },

  async disconnect() {
    if (session) await session.close();
    if (client) await client.disconnect();
    session = client = null;
    return {};
  },
};

async function answer(line) {
  let request = {};
  try {
    request = JSON.parse(line);
    const result = await verbs[request.verb](request);
    return { id: request.id, ok: true, ...result };
  } catch (error) {
    return { id: request.id, ok: false, error: String((error && error.message) || error).split("\n")[0] };
  }
}

// node-opcua writes to the console; stdout is for answers alone.
console.log = console.info = console.warn = console.error;
let last = Promise.resolve();
readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    last = last.then(() => answer(line)).then((out) => process.stdout.write(JSON.stringify(out) + "\n"));
  })
  .on("close", () => last.then(() => process.exit(0)));
