// In the bar of every page: how many alarms ask for a person, by priority, and their sound.

import {AlarmSound} from "./alarmsound.js";
import {PRIORITIES, PRIORITY_WORDS, setShape, shape} from "./alarmwords.js";
import {h, text, toggle} from "./dom.js";

export function alarmBar({live, barSlot}) {
  const chips = PRIORITIES.map((priority) => {
    const count = h("span", {class: "alarm-count"});
    const mark = shape(priority);
    return {priority, count, mark, element: h("span", {class: "alarm-chip", hidden: true}, mark, count)};
  });
  const words = h("span", {class: "alarm-none"}, "No alarms");
  const link = h("a", {href: "#/alarms", class: "alarm-bar"}, chips.map(({element}) => element), words);
  const silence = h("button", {type: "button", class: "main alarm-silence", hidden: true, onclick: () => sound.silence()}, "Silence");
  const onOff = h("button", {type: "button", class: "alarm-sound", onclick: () => sound.switch(!sound.off)});
  const box = h("div", {class: "alarm-box"}, link, silence, onOff);
  const sound = new AlarmSound((state) => {
    box.dataset.sound = state;
    silence.hidden = state !== "sounding";
    text(onOff, state === "off" ? "Sound off" : "Sound on");
    onOff.setAttribute("aria-pressed", String(state !== "off"));
  });
  barSlot.append(box);

  const end = live.listen("alarm_counts", ({active, unacknowledged, announced_ms: newest, differ}) => {
    for (const chip of chips) {
      const asking = unacknowledged[chip.priority];
      const standing = active[chip.priority];
      chip.element.hidden = !asking && !standing;
      text(chip.count, asking ? `${asking}` : `(${standing})`);
      toggle(chip.element, chip.priority, asking > 0);
      setShape(chip.mark, chip.priority, {hollow: !asking, blink: asking > 0});
      chip.element.title = `${PRIORITY_WORDS[chip.priority]}: ${asking} not acknowledged, ${standing} active`;
    }
    const asking = PRIORITIES.filter((priority) => unacknowledged[priority]);
    const standing = PRIORITIES.filter((priority) => active[priority]);
    text(words, differ ? "Alarms unknown: the site file has changed" : "No alarms");
    words.hidden = !differ && Boolean(asking.length || standing.length);
    const told = asking.map((priority) => `${unacknowledged[priority]} ${priority}`).join(", ");
    link.setAttribute("aria-label", differ ? words.textContent : told ? `Alarms not acknowledged: ${told}` : standing.length ? "Alarms, all acknowledged" : "No alarms");
    sound.hear(asking[0] ?? "", newest);
  });
  return () => {
    end();
    sound.end();
    box.remove();
  };
}
