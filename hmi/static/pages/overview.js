// Devices and masters: who answers, who is connected.

import {h, text, toggle} from "../lib/dom.js";

export function open(root, {live, site}) {
  const lines = [
    ...site.devices.map((device) => ({point: device.online, words: `${device.name} (${device.driver}, ${device.points} points)`, yes: "answers", no: "does not answer"})),
    ...site.masters.filter((master) => master.online).map((master) => ({point: master.online, words: `${master.server}/${master.master} (${master.protocol})`, yes: "connected", no: "not connected"})),
  ];
  for (const line of lines) line.state = h("span", {class: "state"}, "–");
  root.append(h("h1", {}, "Overview"), h("section", {class: "panel"}, h("h2", {}, "Communications"),
    h("ul", {class: "plain"}, lines.map((line) => h("li", {}, line.words, " ", line.state)))));
  return live.watch(lines.map((line) => line.point), () => {
    for (const line of lines) {
      const on = Boolean(live.values.get(line.point)?.value);
      text(line.state, on ? line.yes : line.no);
      toggle(line.state, "lost", !on);
    }
  });
}
