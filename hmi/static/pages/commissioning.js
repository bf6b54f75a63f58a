// Point-to-point test of a master: walk its list, put in a test value, see what was sent, tick, resume, print.
// #/commissioning: all tests; #/commissioning/ID: one; #/commissioning/ID/N: at its point N

import {get, post, put, remove} from "../lib/api.js";
import {ask, attempt, say} from "../lib/dialogs.js";
import {h, replace, text} from "../lib/dom.js";
import {number, qualityWords, stamp, withUnit} from "../lib/format.js";
import {Rows} from "../lib/rows.js";

const WORDS = {open: "open", passed: "passed", failed: "failed", skipped: "not tested"};
const PEOPLE = [
  {name: "title", label: "Title"}, {name: "tester", label: "Tester"}, {name: "operator", label: "At the master"},
  {name: "witness", label: "Witness"},
];

export function open(root, context) {
  return context.path.length ? sheet(root, context, ...context.path) : tests(root, context);
}

// ---- all tests -----------------------------------------------------------------------------------------------------

async function tests(root, {site, may, go}) {
  const list = h("div", {class: "scroller", tabindex: "0", role: "region", "aria-label": "Tests"});
  const begin = h("button", {type: "button", class: "main", onclick: async () => {
    const masters = site.masters.filter((each) => each.bindings);
    let made;
    await ask({title: "Begin a point-to-point test", confirm: "Begin", fields: [
      {name: "master", label: "Master", options: masters.map((each, i) => [String(i), `${each.server}/${each.master} (${each.protocol}, ${each.bindings} points)`]), value: "0"},
      {name: "kind", label: "Kind", options: [["SAT", "SAT: at the site"], ["FAT", "FAT: at the factory"]], value: "SAT"},
      ...PEOPLE,
    ], act: async ({master, ...facts}) => {
      const {server, master: name} = masters[Number(master)];
      made = await post("/api/commissioning/tests", {server, master: name, ...facts});
    }});
    if (made) go(`#/commissioning/${made.id}`);
  }}, "Begin a test");
  root.append(h("h1", {}, "Commissioning"), h("p", {}, "A point-to-point test walks the list of one master. What is ticked is kept: a test may be resumed at any time."),
    may("engineer") ? h("div", {class: "toolbar"}, begin) : h("p", {}, "An engineer begins and carries out tests; here they can be read."), list);
  const draw = async () => {
    const all = await attempt(() => get("/api/commissioning/tests"));
    if (!all) return;
    replace(list, all.length ? h("table", {class: "tests"},
      h("thead", {}, h("tr", {}, ["Test", "Master", "Begun", "Passed", "Failed", "Open", "State", ""].map((words) => h("th", {scope: "col"}, words)))),
      h("tbody", {}, all.map((each) => h("tr", {},
        h("td", {}, h("a", {href: `#/commissioning/${each.id}`}, `${each.kind}: ${each.title}`)),
        h("td", {}, `${each.server}/${each.master}`), h("td", {}, `${stamp(each.began_ms).slice(0, 16)} ${each.began_by}`),
        h("td", {class: "num"}, number(each.counts.passed)), h("td", {class: "num"}, number(each.counts.failed)), h("td", {class: "num"}, number(each.counts.open)),
        h("td", {}, each.closed_ms ? "closed" : "running"),
        h("td", {}, may("engineer") ? h("button", {type: "button", "aria-label": `Remove ${each.title}`, onclick: async () => {
          const sure = await ask({title: "Remove this test?", body: `${each.kind}: ${each.title}. Its verdicts and frames are lost.`, confirm: "Remove", danger: true,
            act: () => remove(`/api/commissioning/tests/${each.id}`)});
          if (sure) draw();
        }}, "Remove") : null))))) : h("p", {}, "No test was begun yet."));
  };
  await draw();
  return () => {};
}

// ---- one test ------------------------------------------------------------------------------------------------------

async function sheet(root, {live, may, go}, id, at) {
  const address = `/api/commissioning/tests/${id}`;
  const test = await attempt(() => get(address));
  if (!test) {
    root.append(h("h1", {}, "Commissioning"), h("p", {}, h("a", {href: "#/commissioning"}, "All tests")));
    return () => {};
  }
  const engineer = may("engineer");
  const progress = h("progress", {max: Math.max(1, test.items.length), value: 0, "aria-label": "Points with a verdict"});
  const counted = h("p", {role: "status"});
  const work = h("section", {class: "panel", "aria-live": "polite"});
  const reports = h("div", {});
  let current = -1;
  let endWatch = () => {};
  let filter = "all";
  let shown = [];

  const rows = new Rows([
    {title: "No", class: "no", cell: (i, cell) => text(cell, String(i + 1))},
    {title: "Address", class: "phone-off", cell: (i, cell) => text(cell, test.items[i].address)},
    {title: "Point", class: "wide", cell: (i, cell) => text(cell, test.items[i].point)},
    {title: "Tried", class: "phone-off", cell: (i, cell) => text(cell, tried(test.items[i]))},
    {title: "Verdict", class: "verdict", cell: (i, cell) => text(cell, WORDS[test.items[i].verdict])},
  ], {label: "Points of this test", onpick: (i) => choose(i), rowClass: (i) => test.items[i].verdict});

  function tried(item) {
    const last = item.drives.at(-1);
    if (!last) return "";
    return `${last.value === null ? "" : number(last.value)} ${last.outcome}, ${last.frames.filter((frame) => frame.out).length} frames`;
  }

  function select() {
    shown = test.items.map((_, i) => i).filter((i) => filter === "all" || test.items[i].verdict === filter);
    rows.show({length: shown.length, at: (i) => shown[i]});
  }

  function draw() {
    const counts = Object.fromEntries(Object.keys(WORDS).map((name) => [name, test.items.filter((item) => item.verdict === name).length]));
    progress.value = test.items.length - counts.open;
    text(counted, Object.entries(counts).map(([name, count]) => `${number(count)} ${WORDS[name]}`).join(", "));
    select();
  }

  function take(i, answer) {
    test.items[i] = answer.item;
    draw();
    if (i === current) show(i, answer.values);
  }

  async function choose(i) {
    if (i === undefined) return;
    current = i;
    history.replaceState(null, "", `#/commissioning/${id}/${i + 1}`);
    const answer = await attempt(() => get(`${address}/item`, {item: i}));
    if (answer && current === i) take(i, answer);
  }

  function show(i, values) {
    endWatch();
    const item = test.items[i];
    const now = h("p", {class: "now"}, "–");
    const closed = Boolean(test.closed_ms);
    replace(work, h("h2", {}, `${i + 1} of ${test.items.length}: ${item.point} `, h("small", {}, item.address)),
      h("p", {}, item.description), now,
      item.used_by.length ? h("p", {class: "acts"}, h("strong", {}, "The gateway acts on it by itself: "), item.used_by.join(", ")) : null,
      h("div", {class: "work"},
        engineer && !closed ? h("div", {}, item.kind === "setpoint" || item.kind === "control" ? awaiting(i) : driving(i, values)) : null,
        h("div", {}, h("h3", {}, "What the master was sent"), frames(item))),
      engineer && !closed ? verdicts(i) : h("p", {}, `${WORDS[item.verdict]} ${item.by} ${item.comment}`));
    endWatch = live.watch([item.point], () => {
      const known = live.values.get(item.point);
      text(now, `${withUnit(known)} (${qualityWords(known?.quality ?? 0)})`);
    });
  }

  function driving(i, values) {
    const item = test.items[i];
    const value = h("input", {id: "drive-value", type: "number", step: "any", value: String(values[0] ?? 0)});
    const mark = h("input", {id: "drive-test", type: "checkbox", checked: true});
    const hold = h("input", {id: "drive-hold", type: "number", min: "1", max: "600", value: "10"});
    const go1 = h("button", {type: "button", class: "main", onclick: () => drive(Number(value.value))}, "Put in");
    async function drive(what) {
      let accept = false;
      if (item.used_by.length) {
        accept = Boolean(await ask({title: "The gateway will act on this value", danger: true, confirm: "Put it in",
          body: `${item.point} is used by ${item.used_by.join(", ")}: what they do, they will do for the test value too.`}));
        if (!accept) return;
      }
      go1.disabled = true;
      const answer = await attempt(() => post(`${address}/drive`, {item: i, value: what, test: mark.checked, hold_s: Number(hold.value), accept}));
      go1.disabled = false;
      if (answer) take(i, answer);
    }
    return [h("h3", {}, "Put in a test value"),
      h("div", {class: "values"}, h("div", {class: "field"}, h("label", {for: "drive-value"}, `Value ${item.unit}`), value),
        h("div", {class: "field"}, h("label", {for: "drive-hold"}, "For s"), hold), go1,
        h("button", {type: "button", onclick: () => attempt(() => post(`${address}/release`, {item: i}), "released")}, "Release")),
      h("p", {}, mark, " ", h("label", {for: "drive-test"}, "with quality test, where the protocol has it")),
      values.length ? h("div", {class: "values"}, "Worth trying: ", values.map((each) => h("button", {type: "button", onclick: () => {
        value.value = String(each);
        drive(each);
      }}, number(each)))) : null];
  }

  function awaiting(i) {
    const item = test.items[i];
    const state = h("p", {role: "status"});
    const wait = h("button", {type: "button", class: "main", onclick: async () => {
      wait.disabled = true;
      text(state, `Now ask the master to command ${item.point} …`);
      const answer = await attempt(() => post(`${address}/await`, {item: i, wait_s: 60}));
      wait.disabled = false;
      text(state, "");
      if (answer) take(i, answer);
    }}, "Await the master's command");
    return [h("h3", {}, "Commanded by the master"), h("div", {class: "values"}, wait), state];
  }

  function frames(item) {
    const last = item.drives.at(-1);
    if (!last) return h("p", {}, "Nothing was tried yet.");
    return [h("p", {}, `${stamp(last.time_ms)} ${last.by}: ${last.value === null ? "" : `${number(last.value)} ${item.unit} `}${last.outcome}`),
      last.frames.length ? h("ul", {class: "frames"}, last.frames.map((frame) => h("li", {},
        `${stamp(frame.time_ms, {date: false})} ${frame.out ? "→" : "←"} ${frame.peer} ${frame.text}`, h("div", {class: "hex"}, frame.octets))))
        : h("p", {}, "No connection of this master carried the point: is it connected, and past its start?")];
  }

  function verdicts(i) {
    const item = test.items[i];
    const comment = h("input", {id: "tick-comment", value: item.comment, maxlength: "400"});
    const seen = h("input", {id: "tick-seen", value: item.seen, maxlength: "400"});
    const give = async (verdict) => {
      const answer = await attempt(() => post(`${address}/tick`, {item: i, verdict, comment: comment.value, seen: seen.value}));
      if (!answer) return;
      take(i, answer);
      const next = test.items.findIndex((each, k) => k > i && each.verdict === "open");
      if (verdict === "passed" && next >= 0) choose(next);
    };
    return h("div", {}, h("div", {class: "grid"},
      h("div", {class: "field"}, h("label", {for: "tick-seen"}, "The master shows"), seen),
      h("div", {class: "field"}, h("label", {for: "tick-comment"}, "Comment"), comment)),
    h("div", {class: "buttons"}, h("button", {type: "button", onclick: () => give("skipped")}, "Not tested"),
      h("button", {type: "button", onclick: () => give("failed")}, "Failed"), h("button", {type: "button", class: "main", onclick: () => give("passed")}, "Passed, next")));
  }

  function drawReports() {
    replace(reports, test.reports.map((report) => h("details", {}, h("summary", {}, `${report.name}: ${report.passed ? "passed" : "FAILED"}, ${stamp(report.time_ms).slice(0, 16)}, ${report.by}`),
      h("pre", {}, report.text))));
  }

  async function change(facts) {
    const changed = await attempt(() => put(address, facts));
    if (!changed) return;
    Object.assign(test, changed);
    go(`#/commissioning/${id}`);
    location.reload();
  }

  const choice = h("select", {id: "verdict-filter", onchange: () => {
    filter = choice.value;
    select();
  }}, [["all", "all"], ...Object.entries(WORDS)].map(([value, words]) => h("option", {value}, words)));
  const soe = h("button", {type: "button", onclick: async () => {
    const order = await ask({title: "SOE buffer test", confirm: "Run", body: "On a gateway of its own beside this one, with this master's map: events are made while its link is cut again and again; none may be lost.",
      fields: [{name: "events", label: "Events", type: "number", value: 10000, min: 100, max: 150000}, {name: "cuts", label: "Cuts of the link", type: "number", value: 20, min: 0, max: 1000},
        {name: "kills", label: "Kills of the server", type: "number", value: 0, min: 0, max: 50}]});
    if (!order) return;
    soe.disabled = true;
    say("The SOE buffer test runs; its report comes here.");
    const report = await attempt(() => post(`${address}/soe`, order));
    soe.disabled = false;
    if (report) {
      test.reports.push(report);
      drawReports();
      say(`SOE buffer test: ${report.passed ? "passed" : "FAILED"}`, report.passed ? "done" : "problem");
    }
  }}, "SOE buffer test");

  root.append(h("p", {}, h("a", {href: "#/commissioning"}, "All tests")), h("h1", {}, `${test.kind}: ${test.title}`),
    h("p", {}, `Master ${test.server}/${test.master} (${test.protocol}, ${test.listen}), begun ${stamp(test.began_ms).slice(0, 16)} by ${test.began_by}`,
      test.closed_ms ? `, closed ${stamp(test.closed_ms).slice(0, 16)} by ${test.closed_by}` : ""),
    progress, counted,
    h("div", {class: "toolbar"},
      h("div", {class: "field"}, h("label", {for: "verdict-filter"}, "Show"), choice),
      h("a", {href: `${address}/sheet`, target: "_blank", rel: "noopener"}, "Print the sheet"),
      engineer ? [
        h("button", {type: "button", onclick: async () => {
          const facts = await ask({title: "Names", fields: [...PEOPLE, {name: "remark", label: "Remark", type: "textarea"}].map((field) => ({...field, value: test[field.name]})), confirm: "Keep"});
          if (facts) change(facts);
        }}, "Names and remark"), soe,
        h("a", {href: "#/control"}, "Droop test"),
        h("button", {type: "button", onclick: () => change({closed: !test.closed_ms})}, test.closed_ms ? "Open again" : "Close the test"),
      ] : null),
    rows.element, work, h("section", {}, h("h2", {}, "Reports"), reports));
  draw();
  drawReports();
  const first = at ? Number(at) - 1 : test.items.findIndex((item) => item.verdict === "open");
  if (test.items[first]) {
    rows.pick(shown.indexOf(first));
    await choose(first);
  }
  return () => {
    endWatch();
    rows.end();
  };
}
