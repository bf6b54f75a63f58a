// Questions to a person, and short words to them. Native <dialog>: focus, Escape and screen readers are the browser's.

import {h, replace} from "./dom.js";

let number = 0;

// ask({title, body, fields: [{name, label, type, value, required, options, min, max, step, hint}], confirm, danger})
// -> Promise of {name: value} or null. `act(values)` is run before it closes; what it throws is shown, and it stays open.
export function ask({title, body, fields = [], confirm = "OK", danger = false, act = async () => {}}) {
  return new Promise((resolve) => {
    number += 1;
    const inputs = fields.map((field) => input(field, `field-${number}-${field.name}`));
    const problem = h("p", {class: "problem", role: "alert"});
    const go = h("button", {class: danger ? "danger" : "main", type: "submit"}, confirm);
    const form = h(
      "form",
      {method: "dialog"},
      h("h2", {id: `dialog-${number}`}, title),
      body ? h("div", {class: "dialog-body"}, body) : null,
      inputs.map(({row}) => row),
      problem,
      h("div", {class: "buttons"}, h("button", {type: "button", onclick: () => dialog.close()}, "Cancel"), go),
    );
    const dialog = h("dialog", {"aria-labelledby": `dialog-${number}`}, form);
    let answer = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const values = Object.fromEntries(inputs.map(({name, read}) => [name, read()]));
      go.disabled = true;
      replace(problem);
      try {
        await act(values);
        answer = values;
        dialog.close();
      } catch (error) {
        replace(problem, error.message);
      } finally {
        go.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (inputs[0]?.element ?? go).focus();
  });
}

function input(field, id) {
  const common = {id, name: field.name, required: field.required ?? false, value: field.value ?? ""};
  let element;
  if (field.options) {
    element = h("select", {id, name: field.name}, field.options.map(([value, words]) =>
      h("option", {value, selected: value === field.value}, words)));
  } else if (field.type === "textarea") {
    element = h("textarea", {...common, rows: 3});
  } else if (field.type === "checkbox") {
    element = h("input", {id, name: field.name, type: "checkbox", checked: Boolean(field.value)});
  } else {
    const {min, max, step} = field;
    element = h("input", {...common, value: String(common.value), type: field.type ?? "text", autocomplete: field.autocomplete ?? "off",
      min: min === undefined ? undefined : String(min), max: max === undefined ? undefined : String(max),
      step: step === undefined ? undefined : String(step)});
  }
  const read = {
    checkbox: () => element.checked,
    number: () => (element.value === "" ? null : Number(element.value)),
  }[field.type] ?? (() => element.value);
  const row = h("div", {class: "field"}, h("label", {for: id}, field.label), element, field.hint ? h("small", {}, field.hint) : null);
  return {name: field.name, row, element, read};
}

// A short word in the corner; "problem" stays until it is clicked away.
export function say(words, kind = "done") {
  const toast = h("div", {class: `toast ${kind}`}, h("span", {}, words),
    h("button", {type: "button", "aria-label": "Close", onclick: () => toast.remove()}, "×"));
  document.getElementById("toasts").append(toast);
  if (kind !== "problem") setTimeout(() => toast.remove(), 5000);
}

// Run what a button does; a refusal is said, not thrown.
export async function attempt(act, done = "") {
  try {
    const result = await act();
    if (done) say(done);
    return result;
  } catch (error) {
    say(error.message, "problem");
    return undefined;
  }
}
