// What a person may do to alarms, with the questions that it takes.

import {post} from "./api.js";
import {ask, attempt, say} from "./dialogs.js";
import {asks} from "./alarmwords.js";

const TIMES = [[600, "10 minutes"], [1800, "30 minutes"], [3600, "1 hour"], [7200, "2 hours"], [14400, "4 hours"], [28800, "8 hours"], [86400, "1 day"], [604800, "1 week"]];

async function send(what, body) {
  const {refused} = await post(`/api/alarms/${what}`, body);
  if (refused.length) say(refused.map(({alarm, text}) => `${alarm}: ${text}`).join("\n"), "problem");
}

const named = (alarms) => alarms.map(({alarm}) => alarm);
const titled = (words, alarms) => (alarms.length === 1 ? `${words}: ${alarms[0].message}` : `${words}: ${alarms.length} alarms`);

export const acknowledge = (alarms) => attempt(() => send("acknowledge", {alarms: named(alarms)}));

function shelve(alarms, rules) {
  const options = TIMES.filter(([seconds]) => seconds <= rules.shelve_max_s).map(([seconds, words]) => [String(seconds), words]);
  options.push(["0", `until it returns (${Math.round(rules.shelve_max_s / 360) / 10} h at most)`]);
  return ask({
    title: titled("Shelve", alarms),
    body: "It is out of sight for this time and comes back by itself. Masters are told as well.",
    fields: [{name: "duration_s", label: "For", options}, {name: "reason", label: "Reason", type: "textarea", required: true}],
    confirm: "Shelve",
    act: ({duration_s: seconds, reason}) => send("shelve", {alarms: named(alarms), duration_s: Number(seconds), reason}),
  });
}

const outOfService = (alarms) => ask({
  title: titled("Out of service", alarms),
  body: "It is out of sight until somebody takes it back into service.",
  fields: [{name: "reason", label: "Reason", type: "textarea", required: true}],
  confirm: "Take out of service",
  act: ({reason}) => send("out-of-service", {alarms: named(alarms), reason}),
});

const comment = (alarms) => ask({
  title: titled("Comment", alarms),
  fields: [{name: "comment", label: "Comment", type: "textarea", required: true}],
  confirm: "Comment",
  act: ({comment: words}) => send("comment", {alarms: named(alarms), comment: words}),
});

// {words, right, fits(alarm), run([alarms])}
export const actionsOf = (rules) => [
  {words: "Acknowledge", right: "operator", fits: (alarm) => !alarm.acknowledged, run: acknowledge, main: true},
  {words: "Confirm", right: "operator", fits: (alarm) => rules.confirm && alarm.acknowledged && !alarm.confirmed, run: (alarms) => attempt(() => send("confirm", {alarms: named(alarms)}))},
  {words: "Shelve…", right: "operator", fits: (alarm) => !alarm.shelved_until_ms, run: (alarms) => shelve(alarms, rules)},
  {words: "Unshelve", right: "operator", fits: (alarm) => alarm.shelved_until_ms > 0, run: (alarms) => attempt(() => send("unshelve", {alarms: named(alarms)}))},
  {words: "Comment…", right: "operator", fits: () => true, run: comment},
  {words: "Out of service…", right: "engineer", fits: (alarm) => alarm.state !== "out of service", run: outOfService},
  {words: "Back into service", right: "engineer", fits: (alarm) => alarm.state === "out of service", run: (alarms) => attempt(() => send("in-service", {alarms: named(alarms)}))},
];

export const needAcknowledging = (alarms) => alarms.filter(asks);
