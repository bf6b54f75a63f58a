// Frequency response: its curve with the operating point on it, state, sources, test, excursions.

import {get, post} from "../../lib/api.js";
import {ask, attempt, say} from "../../lib/dialogs.js";
import {h, replace, s, text, toggle} from "../../lib/dom.js";
import {number, stamp} from "../../lib/format.js";
import {frame, kw, liveList, pointRow, ticks, value} from "./parts.js";

// gateway/control/frequency/response.py ResponseState
const STATES = [
  "off", "in the dead band: nothing to do", "responding", "fast response", "no frequency: the last answer is held", "no frequency: the answer has faded",
];

export function droopPanels(board) {
  return board.facts.droops.map((droop) => panel(board, droop));
}

function panel(board, droop) {
  const {live} = board;
  const {points} = droop;
  const state = h("p", {class: "unit-mode"}, "–");
  const list = liveList(board, [
    ["Frequency", [points.frequency_hz], () => hz(value(live, points.frequency_hz))],
    ["Band of the grid code", [points.frequency_band], () => droop.band_names[value(live, points.frequency_band)] ?? "–"],
    ["Rate of change", [points.rocof_hz_per_s], () => `${number(value(live, points.rocof_hz_per_s) ?? NaN, 4)} Hz/s`],
    ["Response asked", [points.response_kw], () => kw(value(live, points.response_kw))],
    ["Headroom up", [points.headroom_up_kw], () => kw(value(live, points.headroom_up_kw))],
    ["Headroom down", [points.headroom_down_kw], () => kw(value(live, points.headroom_down_kw))],
    ["Energy and temperature allow", [points.available_low_kw, points.available_high_kw], () => `${kw(value(live, points.available_low_kw))} to ${kw(value(live, points.available_high_kw))}`],
    ["Energy reserve", [], () => (droop.reserve_min ? `for ${droop.reserve_min} min of full response` : "none kept")],
    pointRow(board, "State of charge", points.soc),
  ]);
  const toggler = board.button("–", () => flip(board, droop), {label: `Frequency response of ${droop.name} on or off`});
  const draw = () => {
    const on = value(live, points.droop_enabled);
    text(state, on === 0 ? "Switched off by a person" : `Response: ${STATES[value(live, points.droop_state)] ?? "not known"}`);
    toggle(state, "lost", on === 0 || value(live, points.frequency_lost) === 1);
    text(toggler, on === 0 ? "Switch on…" : "Switch off…");
    toggler.setAttribute("aria-label", `Switch the frequency response of ${droop.name} ${on === 0 ? "on" : "off"}`);
  };
  board.points([points.droop_enabled, points.droop_state, points.frequency_lost], draw);
  return h("section", {class: "panel droop", "aria-label": `Frequency response of ${droop.name}`}, h("h2", {}, `Frequency response of ${droop.name}`), state,
    h("div", {class: "halves"}, h("div", {}, plot(board, droop)), h("div", {}, list, sources(board, droop), h("div", {class: "buttons start"}, toggler))),
    test(board, droop), evidence(board, droop), settings(droop));
}

const hz = (amount) => (Number.isFinite(amount) ? `${amount.toFixed(3)} Hz` : "–");

async function flip(board, droop) {
  const on = value(board.live, droop.points.droop_enabled) === 0;
  await ask({
    title: `Switch the frequency response of ${droop.name} ${on ? "on" : "off"}`,
    body: h("p", {}, on ? "It answers the frequency again at once." : "The unit no longer answers the frequency, until somebody switches it on again or the gateway starts anew."),
    confirm: on ? "Switch on" : "Switch off",
    act: async () => {
      const told = await post("/api/droop/switch", {unit: droop.name, on});
      if (!told.done) throw new Error(told.words);
    },
  });
}

function sources(board, droop) {
  const lines = droop.sources.map((name, at) => ({name, at, used: h("strong", {}), shown: h("span", {})}));
  const draw = () => {
    const chosen = value(board.live, droop.points.frequency_source);
    for (const line of lines) {
      text(line.shown, hz(value(board.live, line.name)));
      text(line.used, chosen === line.at + 1 ? " – used" : "");
    }
  };
  board.points([...droop.sources, droop.points.frequency_source], draw);
  return h("div", {}, h("h3", {}, "Sources of frequency"), h("ol", {class: "sources"}, lines.map((line) => h("li", {}, `${line.name}: `, line.shown, line.used))));
}

function plot(board, droop) {
  const {live} = board;
  const reach = Math.max(0.5, ...droop.band_edges_hz.map((edge) => Math.abs(edge - droop.nominal_hz)), Math.abs(droop.band_hz[0] - droop.nominal_hz) * 2);
  const xs = [droop.nominal_hz - reach * 1.15, droop.nominal_hz + reach * 1.15];
  const curve = at(droop.curve);
  const most = Math.max(10, Math.abs(curve(xs[0])), Math.abs(curve(xs[1]))) * 1.15;
  const {svg, x, y, inner} = frame({
    width: 480, height: 260, xs, ys: [-most, most], label: `Response of ${droop.name} in percent of rated power over frequency`,
    xWords: ticks(xs[0], xs[1], 5).map((each) => ({at: each, words: `${Number(each.toFixed(2))}`})),
    yWords: ticks(-most, most, 5).map((each) => ({at: each, words: `${Number(each.toFixed(1))} %`})),
  });
  const path = droop.curve.filter(([f]) => f > xs[0] && f < xs[1]);
  const all = [[xs[0], curve(xs[0])], ...path, [xs[1], curve(xs[1])]];
  const asked = s("circle", {r: 6, class: "asked", visibility: "hidden"});
  const delivered = s("rect", {width: 10, height: 10, class: "delivered", visibility: "hidden"});
  svg.append(
    s("rect", {x: x(droop.band_hz[0]), width: Math.max(1, x(droop.band_hz[1]) - x(droop.band_hz[0])), y: inner.top, height: inner.bottom - inner.top, class: "dead-band"}),
    ...droop.band_edges_hz.map((edge) => s("line", {x1: x(edge), x2: x(edge), y1: inner.top, y2: inner.bottom, class: "edge"})),
    s("polyline", {points: all.map(([f, p]) => `${x(f)},${y(p)}`).join(" "), class: "curve"}), delivered, asked);
  const legend = h("p", {class: "legend"}, "● asked  ■ delivered, in % of rated power over Hz; shaded: dead band; dashed: bands of the grid code.");
  const clamp = (low, amount, high) => Math.min(Math.max(low, amount), high);
  const draw = () => {
    const f = value(live, droop.points.frequency_hz);
    const kws = value(live, droop.points.response_kw);
    const known = Number.isFinite(f) && Number.isFinite(kws);
    asked.setAttribute("visibility", known ? "visible" : "hidden");
    if (!known) return;
    const px = x(clamp(xs[0], f, xs[1]));
    asked.setAttribute("cx", px);
    asked.setAttribute("cy", y(clamp(-most, (kws / droop.rated_kw) * 100, most)));
    const [power, base] = [value(live, droop.points.power), board.unit(droop.name).base_kw];
    const measured = Number.isFinite(power) && Number.isFinite(base);
    delivered.setAttribute("visibility", measured ? "visible" : "hidden");
    if (!measured) return;
    delivered.setAttribute("x", px - 5);
    delivered.setAttribute("y", y(clamp(-most, ((power - base) / droop.rated_kw) * 100, most)) - 5);
  };
  board.points([droop.points.frequency_hz, droop.points.response_kw, droop.points.power], draw);
  board.onstate(draw);
  return h("figure", {}, svg, h("figcaption", {}, legend));
}

// Straight between the points, constant beyond the ends.
function at(points) {
  return (f) => {
    const right = points.findIndex(([each]) => each >= f);
    if (right === -1) return points.at(-1)[1];
    if (right === 0) return points[0][1];
    const [[x0, y0], [x1, y1]] = [points[right - 1], points[right]];
    return x1 === x0 ? y0 : y0 + ((f - x0) / (x1 - x0)) * (y1 - y0);
  };
}

// -- the test ---------------------------------------------------------------------------------------------------------

function test(board, droop) {
  const said = h("div", {class: "test-state", role: "status"});
  const begin = board.button("Test…", () => begin_(droop), {right: "engineer", label: `Droop test of ${droop.name}`});
  const stop = board.button("Stop the test", () => attempt(() => post("/api/droop/test/stop")), {right: "engineer"});
  const draw = (now) => {
    const own = now.unit === droop.name;
    begin.disabled = !board.context.may("engineer") || now.running;
    stop.hidden = !(now.running && own);
    if (!own) return;
    replace(said,
      h("p", {}, now.running ? `TEST by ${now.by} (${now.profile}, about ${Math.round(now.takes_s)} s): ${now.doing}` : now.problem ? `The test ended: ${now.problem}` : now.unit ? `The test by ${now.by} is through.` : ""),
      now.verdicts.length ? h("ul", {class: "plain"}, now.verdicts.map((verdict) => h("li", {class: verdict.passed ? "" : "lost"}, `${verdict.passed ? "pass" : "FAIL"}: ${verdict.clause}: ${verdict.words}`))) : null,
      now.report ? h("p", {}, link(`/api/droop/reports/${encodeURIComponent(now.report)}`, "Report of this test")) : null);
  };
  board.listen("droop-test", (news) => draw(news.test));
  return h("div", {}, h("h3", {}, "Test"), h("p", {}, "Shows the response a synthetic frequency and judges what the unit makes of it. Masters go on seeing the measured one."),
    h("div", {class: "buttons start"}, begin, stop), said);
}

async function begin_(droop) {
  const {profiles} = await get("/api/droop/profiles");
  const chosen = profiles.includes(droop.profile) ? droop.profile : profiles[0];
  await ask({
    title: `Droop test of ${droop.name}`,
    body: h("p", {}, "The unit's power will move as if the frequency had left its band. The load despatch centre should know."),
    fields: [{name: "profile", label: "Profile", value: chosen, required: true, hint: `One of ${profiles.join(", ")}, or a YAML file beside the site's.`}],
    confirm: "Begin the test",
    danger: true,
    act: async ({profile}) => {
      await post("/api/droop/test", {unit: droop.name, profile});
      say("The test runs.");
    },
  });
}

const link = (href, words) => h("a", {href, target: "_blank", rel: "noopener"}, words);

// -- evidence ---------------------------------------------------------------------------------------------------------

function evidence(board, droop) {
  const body = h("div", {}, "…");
  const load = async () => {
    const found = await attempt(() => get("/api/droop/excursions"));
    if (found) replace(body, table(found, droop));
  };
  const details = h("details", {ontoggle: () => details.open && load()}, h("summary", {}, "Excursions and reports"), body);
  board.listen("droop-test", (news) => details.open && !news.test.running && load());
  return details;
}

function table(found, droop) {
  const rows = found.excursions.filter((each) => !each.unit || each.unit === droop.name);
  const reports = found.reports.filter((name) => name.endsWith(`-${droop.name}`));
  return [
    rows.length ? h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": "Excursions"}, h("table", {},
      h("thead", {}, h("tr", {}, ["Begin", "Lowest, highest", "Outside", "Largest asked", "90 % after", "Delivered", ""].map((words) => h("th", {}, words)))),
      h("tbody", {}, rows.map((each) => h("tr", {}, h("td", {}, each.problem || `${stamp(each.start_ms)}${each.test ? " TEST" : ""}`),
        h("td", {}, `${hz(each.lowest_hz)}, ${hz(each.highest_hz)}`), h("td", {}, `${number(each.outside_s)} s`), h("td", {}, kw(each.largest_kw)),
        h("td", {}, each.to_90_percent_s === null ? "–" : `${number(each.to_90_percent_s)} s`), h("td", {}, each.delivered_percent === null ? "–" : `${number(each.delivered_percent)} %`),
        h("td", {}, link(`/api/droop/excursions/${encodeURIComponent(each.name)}`, "Report"))))))) : h("p", {}, "No excursion has been kept yet."),
    found.kept > found.excursions.length ? h("p", {}, `${found.kept} are kept; the newest ${found.excursions.length} are listed.`) : null,
    reports.length ? [h("h3", {}, "Reports of tests"), h("ul", {class: "plain"}, reports.map((name) => h("li", {}, link(`/api/droop/reports/${encodeURIComponent(name)}`, name))))] : null,
  ];
}

function settings(droop) {
  return h("details", {}, h("summary", {}, "Settings"), h("dl", {class: "facts"}, droop.settings.map(([key, words]) => h("div", {}, h("dt", {}, key), h("dd", {}, words)))),
    h("p", {}, "SHA-256 ", h("code", {class: "hash"}, droop.attestation)));
}
