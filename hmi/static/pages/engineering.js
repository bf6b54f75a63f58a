// Engineering: configuration, versions, documents, people, certificates, logs, about. #/engineering/PART

import {download, get, post, put, remove} from "../lib/api.js";
import {ask, attempt, say} from "../lib/dialogs.js";
import {h, replace, text} from "../lib/dom.js";
import {age, number, stamp} from "../lib/format.js";
import {Rows} from "../lib/rows.js";

const PARTS = [
  {name: "configuration", title: "Configuration", right: "engineer", open: configuration},
  {name: "versions", title: "Versions", right: "engineer", open: versions},
  {name: "documents", title: "Documents and backup", right: "viewer", open: documents},
  {name: "people", title: "Users and tokens", right: "administrator", open: people},
  {name: "certificates", title: "Certificates", right: "engineer", open: certificates},
  {name: "logs", title: "Logs", right: "operator", open: logs},
  {name: "about", title: "Version", right: "viewer", open: about},
];

export async function open(root, context) {
  const parts = PARTS.filter((part) => context.may(part.right));
  const part = parts.find((each) => each.name === context.path[0]) ?? parts[0];
  root.append(h("h1", {}, "Engineering"),
    h("nav", {class: "tabs", "aria-label": "Parts of engineering"}, parts.map((each) =>
      h("a", {href: `#/engineering/${each.name}`, "aria-current": each === part ? "page" : undefined}, each.title))));
  const place = h("div", {});
  root.append(place);
  return (await part.open(place, context)) ?? (() => {});
}

// ---- configuration -------------------------------------------------------------------------------------------------

const STATES = {running: "", same: "", changed: "changed", added: "new", removed: "removed"};

async function configuration(root) {
  let facts = null;
  let current = "";
  let problems = [];
  const files = h("ul", {class: "files"});
  const head = h("div", {class: "toolbar"});
  const editor = h("div", {});
  const result = h("section", {"aria-live": "polite"});
  root.append(head, h("div", {class: "config"}, h("div", {class: "panel"}, h("h2", {}, "Files"), files), h("div", {}, editor, result)));

  async function load(fresh) {
    facts = fresh ?? (await attempt(() => get("/api/engineering/configuration")));
    if (!facts) return;
    replace(head, facts.candidate ? [
      h("span", {}, `Candidate of ${facts.begun_by}, ${stamp(facts.begun_ms).slice(0, 16)}`),
      h("button", {type: "button", onclick: check}, "Check"),
      h("button", {type: "button", onclick: diff}, "Compare"),
      h("button", {type: "button", onclick: upload}, "Upload ZIP"),
      h("button", {type: "button", onclick: addFile}, "Add file"),
      h("button", {type: "button", class: "main", onclick: apply}, "Apply"),
      h("button", {type: "button", onclick: discard}, "Discard"),
    ] : [
      h("span", {}, "These files run. To change them, begin a candidate: nothing is touched until it is applied."),
      h("button", {type: "button", class: "main", onclick: async () => load(await attempt(() => post("/api/engineering/candidate")))}, "Begin a candidate"),
    ]);
    replace(files, facts.files.map((file) => h("li", {}, h("button", {type: "button", "aria-current": file.name === current ? "true" : undefined,
      disabled: file.hidden, onclick: () => show(file.name)}, file.name,
    file.hidden ? " (keys or passwords: not shown)" : STATES[file.state] ? h("span", {class: "tag"}, STATES[file.state]) : null))));
    if (!current) await show(facts.site);
  }

  async function show(name, line) {
    const state = facts.files.find((file) => file.name === name)?.state;
    const which = facts.candidate && state !== "removed" ? "candidate" : "running";
    const found = await attempt(() => get("/api/engineering/file", {name, which}));
    if (!found) return;
    current = name;
    for (const each of files.querySelectorAll("button")) {
      if (each.firstChild?.textContent === name) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
    const writable = which === "candidate";
    const area = h("textarea", {id: "editor", spellcheck: false, readOnly: !writable, value: found.text, wrap: "off", oninput: fit});
    const lines = h("div", {class: "lines", "aria-hidden": "true"});
    const save = h("button", {type: "button", class: "main", onclick: async () => {
      const kept = await attempt(() => put("/api/engineering/file", {name, text: area.value}), "kept in the candidate");
      if (kept) await load();
    }}, "Keep");
    function fit() {
      const count = area.value.split("\n").length;
      const wrong = new Set(problems.filter((each) => each.file === name).map((each) => each.line));
      replace(lines, Array.from({length: count}, (_, i) => [h("span", {class: wrong.has(i + 1) ? "wrong" : ""}, wrong.has(i + 1) ? `! ${i + 1}` : String(i + 1)), "\n"]));
      area.style.height = `${count * 19.5 + 20}px`;
    }
    replace(editor, h("div", {class: "toolbar"}, h("h2", {}, h("label", {for: "editor"}, name)), writable ? [save, h("button", {type: "button", onclick: async () => {
      const sure = await ask({title: `Take ${name} out of the candidate?`, confirm: "Take out", act: () => remove(`/api/engineering/file?${new URLSearchParams({name})}`)});
      if (sure) {
        current = "";
        await load();
      }
    }}, "Take out")] : null), h("div", {class: "editor"}, lines, area));
    fit();
    if (line) {
      const at = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      area.focus();
      area.setSelectionRange(at, at + (area.value.split("\n")[line - 1]?.length ?? 0));
      area.parentElement.scrollTop = Math.max(0, (line - 6) * 19.5);
    }
  }

  function told(found) {
    return found.length ? h("ul", {class: "problems"}, found.map((each) => h("li", {}, each.fatal ? "" : "warning: ",
      h("button", {type: "button", onclick: () => show(each.file, each.line ?? 0)}, `${each.file}${each.line ? `, ${each.file.endsWith(".csv") ? "row" : "line"} ${each.line}` : ""}${each.column ? `, column ${each.column}` : ""}`), " ", each.text))) : null;
  }

  async function check() {
    replace(result, h("p", {}, "Checking …"));
    const found = await attempt(() => post("/api/engineering/check"));
    if (!found) return replace(result);
    problems = found.problems;
    const errors = problems.filter((each) => each.fatal).length;
    const impact = found.impact;
    const names = (words, list) => (list.length ? h("li", {}, `${words}: ${list.slice(0, 20).join(", ")}${list.length > 20 ? ` and ${list.length - 20} more` : ""}`) : null);
    replace(result, h("div", {class: "panel"}, h("h2", {}, found.ok ? "The candidate is right" : `${errors} ${errors === 1 ? "error" : "errors"}`), told(problems),
      impact ? [h("h3", {}, "If it is applied"), h("ul", {},
        names("started anew", [...impact.restarted, ...impact.added]), names("ended", impact.removed), names("goes on", impact.unchanged),
        names("points added", impact.points_added), names("points removed", impact.points_removed), names("points changed", impact.points_changed),
        names("bindings", impact.bindings), names("may command", impact.rights))] : null,
      found.summary.length ? h("details", {}, h("summary", {}, "What the site would be"), h("pre", {}, found.summary.join("\n"))) : null));
    if (current) await show(current);
    return undefined;
  }

  async function diff() {
    const found = await attempt(() => get("/api/engineering/diff"));
    if (found) replace(result, h("div", {class: "panel"}, h("h2", {}, found.length ? `${found.length} files differ` : "Nothing differs"), found.map(drawDiff)));
  }

  function upload() {
    const input = h("input", {type: "file", accept: ".zip", onchange: async () => {
      const [file] = input.files;
      if (!file) return;
      const names = await attempt(() => post("/api/engineering/upload", file, {type: "application/zip"}));
      if (names) {
        say(`${names.length} files taken over`);
        await load();
      }
    }});
    input.click();
  }

  async function addFile() {
    let made = "";
    await ask({title: "Add a file", fields: [{name: "name", label: "Name, with its folders", required: true}], confirm: "Add", act: async ({name}) => {
      await put("/api/engineering/file", {name, text: ""});
      made = name;
    }});
    if (!made) return;
    await load();
    await show(made);
  }

  async function discard() {
    const sure = await ask({title: "Discard the candidate?", body: "What was changed in it is lost; what runs is not touched.", confirm: "Discard", danger: true,
      act: () => remove("/api/engineering/candidate")});
    if (!sure) return;
    problems = [];
    replace(result);
    await load();
  }

  async function apply() {
    let done = null;
    const given = await ask({title: "Apply the candidate?", confirm: "Apply", danger: true, body: "It is checked once more. Processes whose part changes are started anew, this page's too; if they do not come to serve, what runs now comes back.",
      fields: [{name: "reason", label: "Reason", required: true}], act: async ({reason}) => {
        replace(result, h("p", {role: "status"}, "Applying …"));
        try {
          done = await post("/api/engineering/apply", {reason});
        } catch (error) {
          if (error.status !== 0) throw error;  // 0: this page's own process is started anew: ask again below
        }
      }});
    if (!given) return replace(result);
    for (let i = 0; i < 120 && (!done || done.pending); i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      done = await get("/api/engineering/applied").catch(() => null);
    }
    replace(result, h("div", {class: "panel"}, done?.ok
      ? [h("h2", {}, "Applied"), h("p", {}, `Started anew: ${done.restarted.join(", ") || "nothing"}. Went on: ${done.unchanged.join(", ") || "nothing"}.`)]
      : [h("h2", {}, "Not applied"), h("p", {class: "problem"}, done?.text || "the gateway did not answer")]));
    problems = [];
    return load();
  }

  await load();
  return () => {};
}

function drawDiff(file) {
  return h("details", {open: true}, h("summary", {}, file.name), h("pre", {class: "diff", tabindex: "0", "aria-label": `Difference of ${file.name}`}, file.diff.split("\n").map((line) =>
    h("span", {class: line.startsWith("+") ? "plus" : line.startsWith("-") ? "minus" : ""}, `${line}\n`))));
}

// ---- versions ------------------------------------------------------------------------------------------------------

async function versions(root, {go}) {
  const all = await attempt(() => get("/api/engineering/versions"));
  if (!all) return;
  const shown = h("div", {"aria-live": "polite"});
  root.append(h("p", {}, "Each time a candidate was applied, the files of before were kept. An earlier version becomes a candidate again: it is checked, compared and applied like any other."),
    all.length ? h("div", {class: "scroller"}, h("table", {}, h("thead", {}, h("tr", {}, ["Version", "Replaced", "By", "Reason", "Files that changed", ""].map((words) => h("th", {scope: "col"}, words)))),
      h("tbody", {}, all.map((each) => h("tr", {}, h("td", {class: "num"}, String(each.number)), h("td", {}, stamp(each.time_ms).slice(0, 19)), h("td", {}, each.by), h("td", {}, each.reason),
        h("td", {}, each.changed.join(", ")), h("td", {}, h("div", {class: "buttons"},
          h("button", {type: "button", onclick: async () => {
            const found = await attempt(() => get(`/api/engineering/versions/${each.number}/diff`));
            if (found) replace(shown, h("h2", {}, `From what runs to version ${each.number}`), found.length ? found.map(drawDiff) : h("p", {}, "Nothing differs."));
          }}, "Compare"),
          h("button", {type: "button", onclick: async () => {
            const sure = await ask({title: `Go back to version ${each.number}?`, body: "It becomes the candidate; a candidate that is under way is lost.", confirm: "Take it",
              act: () => post(`/api/engineering/versions/${each.number}/candidate`)});
            if (sure) go("#/engineering/configuration");
          }}, "Take as candidate")))))))) : h("p", {}, "No version is kept yet."), shown);
}

// ---- documents -----------------------------------------------------------------------------------------------------

function documents(root, {may}) {
  const button = (words, path, right) => (may(right) ? h("button", {type: "button", onclick: () => attempt(() => download(path))}, words) : null);
  root.append(h("div", {class: "panel"}, h("h2", {}, "Documents"), h("p", {}, "Interoperability statements and signal lists, made from the configuration as it runs."),
    h("div", {class: "toolbar"}, button("All documents (ZIP)", "/api/service/documents", "operator"), button("Points (CSV)", "/api/service/points.csv", "viewer"), h("a", {href: "/api/openapi.json"}, "API description (OpenAPI)"))),
  may("administrator") ? h("div", {class: "panel"}, h("h2", {}, "Backup"), h("p", {}, "Configuration, state, journals and users in one file. It holds keys and passwords' hashes: keep it safe. To restore, stop the gateway and run gridgate restore: a gateway that runs cannot be given another past."),
    button("Download a backup", "/api/service/backup", "administrator")) : null);
}

// ---- users and tokens ----------------------------------------------------------------------------------------------

const ROLES = [["viewer", "viewer: reads"], ["operator", "operator: commands, acknowledges"], ["engineer", "engineer: forces, configures, tests"], ["administrator", "administrator: users and tokens"]];

async function people(root) {
  const users = h("div", {class: "scroller"});
  const tokens = h("div", {class: "scroller"});
  const once = h("div", {"aria-live": "polite"});
  root.append(once,
    h("section", {class: "panel"}, h("div", {class: "toolbar"}, h("h2", {}, "Users"), h("button", {type: "button", onclick: addUser}, "Add user")), users),
    h("section", {class: "panel"}, h("div", {class: "toolbar"}, h("h2", {}, "API tokens"), h("button", {type: "button", onclick: addToken}, "Make token")), tokens));

  const table = (heads, rows) => h("table", {}, h("thead", {}, h("tr", {}, heads.map((words) => h("th", {scope: "col"}, words)))), h("tbody", {}, rows));
  const secret = (words, value) => replace(once, h("div", {class: "panel"}, h("p", {}, words), h("p", {class: "once"}, value), h("button", {type: "button", onclick: () => replace(once)}, "Done")));

  async function draw() {
    const [all, made] = await Promise.all([attempt(() => get("/api/users")), attempt(() => get("/api/tokens"))]);
    if (all) {
      replace(users, table(["Name", "Role", ""], all.map((each) => h("tr", {}, h("td", {}, each.name), h("td", {}, each.role), h("td", {}, h("div", {class: "buttons"},
        h("button", {type: "button", "aria-label": `Role of ${each.name}`, onclick: async () => {
          const done = await ask({title: `Role of ${each.name}`, fields: [{name: "role", label: "Role", options: ROLES, value: each.role}], confirm: "Change", act: (values) => put(`/api/users/${encodeURIComponent(each.name)}`, values)});
          if (done) draw();
        }}, "Role"),
        h("button", {type: "button", "aria-label": `New password for ${each.name}`, onclick: async () => {
          const sure = await ask({title: `New password for ${each.name}?`, body: "A first password is made and shown once; sessions of this user end.", confirm: "Make"});
          const given = sure && (await attempt(() => post(`/api/users/${encodeURIComponent(each.name)}/password`)));
          if (given) secret(`First password of ${given.name}, shown once:`, given.password);
        }}, "New password"),
        h("button", {type: "button", "aria-label": `Remove ${each.name}`, onclick: async () => {
          const sure = await ask({title: `Remove ${each.name}?`, confirm: "Remove", danger: true, act: () => remove(`/api/users/${encodeURIComponent(each.name)}`)});
          if (sure) draw();
        }}, "Remove")))))));
    }
    if (made) {
      replace(tokens, made.length ? table(["Name", "Role", "Made by", "Ends", "Last used", ""], made.map((each) => h("tr", {}, h("td", {}, each.name), h("td", {}, each.role), h("td", {}, each.by),
        h("td", {}, each.expires_ms ? stamp(each.expires_ms).slice(0, 10) : "never"), h("td", {}, each.used_ms ? stamp(each.used_ms).slice(0, 16) : "not yet"),
        h("td", {}, h("button", {type: "button", "aria-label": `Revoke ${each.name}`, onclick: async () => {
          const sure = await ask({title: `Revoke ${each.name}?`, confirm: "Revoke", danger: true, act: () => remove(`/api/tokens/${encodeURIComponent(each.id)}`)});
          if (sure) draw();
        }}, "Revoke"))))) : h("p", {}, "There is none."));
    }
  }

  async function addUser() {
    let made = null;
    await ask({title: "Add a user", fields: [{name: "name", label: "User name", required: true}, {name: "role", label: "Role", options: ROLES, value: "viewer"}], confirm: "Add", act: async (values) => {
      made = await post("/api/users", values);
    }});
    if (made) secret(`First password of ${made.name}, shown once; it must be changed at the first login:`, made.password);
    draw();
  }

  async function addToken() {
    let made = null;
    await ask({title: "Make an API token", fields: [{name: "name", label: "Name of the program", required: true}, {name: "role", label: "Role", options: ROLES.slice(0, 3), value: "viewer"},
      {name: "days", label: "Days until it ends (empty: never)", type: "number", min: 1, max: 3650, value: ""}], confirm: "Make", act: async (values) => {
      made = await post("/api/tokens", values);
    }});
    if (made) secret(`Token ${made.name}, shown once (Authorization: Bearer …):`, made.token);
    draw();
  }

  await draw();
}

// ---- certificates --------------------------------------------------------------------------------------------------

async function certificates(root) {
  const all = await attempt(() => get("/api/certificates"));
  if (!all) return;
  root.append(all.length ? h("div", {class: "scroller"}, h("table", {}, h("thead", {}, h("tr", {}, ["Of", "Use", "Subject", "Holds until", "Fingerprint (SHA-256)"].map((words) => h("th", {scope: "col"}, words)))),
    h("tbody", {}, all.map((each) => h("tr", {}, h("td", {}, each.of), h("td", {}, each.use), h("td", {}, each.problem || each.subject),
      h("td", {class: each.ends_ms && each.days_left < 30 ? "lost" : ""}, each.ends_ms ? `${stamp(each.ends_ms).slice(0, 10)} (${Math.floor(each.days_left)} days)` : "–"), h("td", {class: "hash"}, each.sha256)))))) : h("p", {}, "Nothing here uses certificates: no server has TLS, and this page is served on loopback."));
}

// ---- logs ----------------------------------------------------------------------------------------------------------

async function logs(root, {live}) {
  let lines = [];
  const level = h("select", {id: "log-level", onchange: load}, ["info", "warning", "error", "debug"].map((each) => h("option", {value: each}, `${each} and worse`)));
  const words = h("input", {id: "log-text", type: "search", onchange: load});
  const process = h("input", {id: "log-process", onchange: load, size: "12"});
  const panel = h("section", {class: "panel", "aria-live": "polite", hidden: true});
  const rows = new Rows([
    {title: "Time (UTC)", class: "when", cell: (line, cell) => text(cell, line.time.replace("T", " ").slice(0, 23))},
    {title: "Level", class: "level", cell: (line, cell) => {
      text(cell, line.level);
      cell.className = `level ${line.level === "error" ? "lost" : ""}`;
    }},
    {title: "Process", class: "from", cell: (line, cell) => text(cell, line.process)},
    {title: "Event", class: "what", cell: (line, cell) => text(cell, `${line.event} ${Object.entries(line.facts).map(([key, value]) => `${key}=${value}`).join(" ")}`)},
  ], {label: "Log lines, the newest first", rowHeight: 28, onpick: (line) => {
    panel.hidden = false;
    replace(panel, h("h2", {}, line.event), h("pre", {}, Object.entries(line.facts).map(([key, value]) => `${key}: ${value}`).join("\n")));
  }});
  root.append(h("div", {class: "toolbar"}, h("div", {class: "field"}, h("label", {for: "log-level"}, "Level"), level), h("div", {class: "field"}, h("label", {for: "log-process"}, "Process"), process),
    h("div", {class: "field"}, h("label", {for: "log-text"}, "With the words"), words),
    h("button", {type: "button", onclick: older}, "Older")), rows.element, panel);

  const query = () => ({level: level.value, text: words.value, process: process.value});

  async function load() {
    const found = await attempt(() => get("/api/logs", query()));
    if (!found) return;
    lines = found;
    rows.show(lines);
  }

  async function older() {
    const found = await attempt(() => get("/api/logs", {...query(), before: lines.at(-1)?.time ?? ""}));
    if (!found?.length) return say("No older lines are held.");
    lines = lines.concat(found);
    rows.show(lines);
    return undefined;
  }

  await load();
  const rank = ["debug", "info", "warning", "error"];
  const end = live.listen("logs", (news) => {
    const fresh = (news.lines ?? []).filter((line) => rank.indexOf(line.level) >= rank.indexOf(level.value) && line.process.includes(process.value)
      && (!words.value || JSON.stringify(line).toLowerCase().includes(words.value.toLowerCase())));
    if (!fresh.length) return;
    lines = fresh.concat(lines).slice(0, 5000);
    rows.show(lines);
  });
  return () => {
    end();
    rows.end();
  };
}

// ---- about ---------------------------------------------------------------------------------------------------------

async function about(root) {
  const facts = await attempt(() => get("/api/service/about"));
  if (!facts) return;
  const line = (words, value, kind = "") => h("tr", {}, h("th", {scope: "row"}, words), h("td", {class: kind}, value));
  root.append(h("div", {class: "panel scroller"}, h("h2", {}, "What runs here"), h("table", {}, h("tbody", {},
    line("GridGate", facts.version), line("Python", facts.python), line("System", facts.system), line("Site", facts.site),
    line("Configuration (SHA-256)", facts.configuration, "hash"), facts.control ? line("Control settings (SHA-256)", facts.control, "hash") : null, line("Code (SHA-256)", facts.code, "hash"))),
  h("button", {type: "button", onclick: () => {
    const url = URL.createObjectURL(new Blob([JSON.stringify(facts, null, 1)], {type: "application/json"}));
    const link = h("a", {href: url, download: `${facts.site}-attestation.json`});
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }}, "Download the attestation")),
  h("div", {class: "panel scroller"}, h("h2", {}, "Processes"), h("table", {}, h("thead", {}, h("tr", {}, ["Process", "Number", "Since", "Starts", "State"].map((words) => h("th", {scope: "col"}, words)))),
    h("tbody", {}, facts.processes.map((each) => h("tr", {}, h("td", {}, each.title), h("td", {class: "num"}, each.pid === null ? "–" : String(each.pid)), h("td", {class: "num"}, age(each.age_s * 1000)), h("td", {class: "num"}, number(each.starts)), h("td", {}, each.ready ? "serves" : "does not serve")))))),
  h("details", {class: "panel scroller"}, h("summary", {}, `${facts.libraries.length} libraries and their licences`), h("table", {}, h("thead", {}, h("tr", {}, ["Library", "Version", "Licence"].map((words) => h("th", {scope: "col"}, words)))),
    h("tbody", {}, facts.libraries.map((each) => h("tr", {}, h("td", {}, each.name), h("td", {}, each.version), h("td", {}, each.licence)))))));
}
