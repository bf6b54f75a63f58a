// Calls of the API. A refusal becomes a `Refused` with words for a person.

export class Refused extends Error {
  constructor(status, text, problems) {
    super([text, ...problems].join("\n"));
    this.status = status;
    this.text = text;
    this.problems = problems;
  }
}

const AWAY_MS = 60_000;

let csrf = "";
let onLoggedOut = () => {};
let touchedMs = 0;

// A person has just acted: calls count as theirs. Those made while nobody is there keep no session alive.
export function touched() {
  touchedMs = performance.now();
}

export function useSession(session) {
  csrf = session ? session.csrf : "";
}

export function whenLoggedOut(act) {
  onLoggedOut = act;
}

async function call(method, path, body, {raw = false, type = "application/json"} = {}) {
  const headers = method === "GET" ? {} : {"X-CSRF-Token": csrf};
  if (body !== undefined) headers["Content-Type"] = type;
  if (performance.now() - touchedMs > AWAY_MS) headers["X-Background"] = "1";
  const sent = body === undefined || type !== "application/json" ? body : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, {method, headers, body: sent, credentials: "same-origin"});
  } catch {
    throw new Refused(0, "the gateway does not answer", []);
  }
  if (answer.ok) return raw ? answer : answer.json();
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401 && path !== "/api/login") onLoggedOut();
  throw new Refused(answer.status, told.error ?? `the gateway answered ${answer.status}`, told.problems ?? []);
}

export const get = (path, query) => call("GET", query ? `${path}?${new URLSearchParams(query)}` : path);
export const post = (path, body = {}, options) => call("POST", path, body, options);
export const put = (path, body = {}, options) => call("PUT", path, body, options);
export const remove = (path) => call("DELETE", path);

// A file to be saved by the browser.
export async function download(path, query) {
  const answer = await call("GET", query ? `${path}?${new URLSearchParams(query)}` : path, undefined, {raw: true});
  const named = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
  const url = URL.createObjectURL(await answer.blob());
  const link = Object.assign(document.createElement("a"), {href: url, download: named ? named[1] : "download"});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
