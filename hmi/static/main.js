// Boot, login, menu and the way between pages.

import {alarmBar} from "./lib/alarmbar.js";
import {get, post, useSession, whenLoggedOut} from "./lib/api.js";
import {ask, attempt} from "./lib/dialogs.js";
import {h, replace, text, toggle} from "./lib/dom.js";
import {stamp} from "./lib/format.js";
import {watchIdle} from "./lib/idle.js";
import {Live} from "./lib/live.js";
import {PAGES} from "./pages.js";

const app = document.getElementById("app");
let shell = null;
let changing = false;

whenLoggedOut(() => {
  // While the password is changed every older session ends, this one's among them.
  if (shell && !changing) showLogin("Locked: the session has ended. Your password opens it again.", shell.session.name);
});

async function boot() {
  try {
    start(await get("/api/session"));
  } catch {
    showLogin("");
  }
}

function showLogin(words, who = "") {
  shell?.close();
  shell = null;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  useSession(null);
  const problem = h("p", {class: "problem", role: "alert"}, words);
  const name = h("input", {id: "login-name", name: "name", autocomplete: "username", required: true, value: who});
  const password = h("input", {id: "login-password", name: "password", type: "password", autocomplete: "current-password", required: true});
  const form = h("form", {class: "login panel", onsubmit: async (event) => {
    event.preventDefault();
    replace(problem);
    try {
      start(await post("/api/login", {name: name.value, password: password.value}));
    } catch (error) {
      replace(problem, error.message);
      password.select();
    }
  }},
  h("h1", {}, "GridGate"),
  h("div", {class: "field"}, h("label", {for: "login-name"}, "Name"), name),
  h("div", {class: "field"}, h("label", {for: "login-password"}, "Password"), password),
  problem,
  h("div", {class: "buttons"}, h("button", {class: "main", type: "submit"}, "Log in")));
  document.title = "Log in – GridGate";
  replace(app, h("main", {id: "main", class: "login-page"}, form));
  (who ? password : name).focus();
}

// Two fields for a new password; `act({old, new})` is called when both are the same.
function newPasswordFields() {
  return [
    {name: "old", label: "Present password", type: "password", autocomplete: "current-password", required: true},
    {name: "new", label: "New password", type: "password", autocomplete: "new-password", required: true, hint: "8 characters or more; a few words are easy to keep"},
    {name: "again", label: "New password again", type: "password", autocomplete: "new-password", required: true},
  ];
}

async function changePassword(values) {
  if (values.new !== values.again) throw new Error("The two new passwords are not the same.");
  if (values.new.length < 8) throw new Error("The new password has fewer than 8 characters.");
  changing = true;
  try {
    return await post("/api/password", {old: values.old, new: values.new});
  } finally {
    changing = false;
  }
}

// Before anything else: the password that was given is good for nothing but this.
function showFirstPassword(session) {
  const problem = h("p", {class: "problem", role: "alert"});
  const inputs = newPasswordFields().map((field) => ({...field, element: h("input", {
    id: `first-${field.name}`, name: field.name, type: "password", autocomplete: field.autocomplete, required: true})}));
  const form = h("form", {class: "login panel", onsubmit: async (event) => {
    event.preventDefault();
    replace(problem);
    try {
      start(await changePassword(Object.fromEntries(inputs.map(({name, element}) => [name, element.value]))));
    } catch (error) {
      replace(problem, error.message);
    }
  }},
  h("h1", {}, "Choose your own password"),
  h("p", {}, `The password of ${session.name} was set by somebody else: it is good for this alone.`),
  inputs.map(({name, label, hint, element}) =>
    h("div", {class: "field"}, h("label", {for: `first-${name}`}, label), element, hint ? h("small", {}, hint) : null)),
  problem,
  h("div", {class: "buttons"}, h("button", {type: "button", onclick: logout}, "Log out"), h("button", {class: "main", type: "submit"}, "Change")));
  document.title = "Choose a password – GridGate";
  replace(app, h("main", {id: "main", class: "login-page"}, form));
  inputs[0].element.focus();
}

async function logout() {
  await attempt(() => post("/api/logout"));
  showLogin("");
}

async function start(session) {
  useSession(session);
  if (session.must_change) {
    showFirstPassword(session);
    return;
  }
  const site = await attempt(() => get("/api/site"));
  if (!site) return;
  shell?.close();
  shell = new Shell(session, site);
  replace(app, shell.element);
  shell.show();
}

class Shell {
  constructor(session, site) {
    this.live = new Live();
    this.session = session;
    this._endPage = () => {};
    this._links = new Map();
    const may = (role) => session.roles.includes(role);
    this.context = {live: this.live, site, session, may, go: (address) => {
      location.hash = address;
    }};
    const pages = PAGES.filter((page) => may(page.right));
    const menu = h("ul", {}, pages.map((page) => {
      const link = h("a", {href: `#/${page.name}`}, page.title);
      this._links.set(page.name, link);
      return h("li", {}, link);
    }));
    this._menu = h("nav", {"aria-label": "Pages", id: "menu"}, menu);
    this._clock = h("time", {class: "clock"});
    this._link = h("span", {class: "link-state", role: "status"});
    const opener = h("button", {type: "button", class: "menu-button", "aria-controls": "menu", "aria-expanded": "false", onclick: () => this._open()}, "Menu");
    this._opener = opener;
    this._slots = h("div", {class: "bar-slots"});
    this.context.barSlot = this._slots; // for what every page shows, such as alarms
    this._endAlarms = alarmBar(this.context);
    const bar = h("header", {class: "bar"}, opener, h("strong", {class: "site-name"}, site.site), this._slots, this._link, this._clock,
      h("span", {class: "who"}, `${session.name} (${session.role})`),
      h("button", {type: "button", onclick: () => this._password()}, "Password"),
      h("button", {type: "button", onclick: logout}, "Log out"));
    this._main = h("main", {id: "main", tabindex: "-1"});
    this.element = h("div", {class: "shell"}, bar, this._menu, this._main);
    this.live.onstate = (connected) => {
      text(this._link, connected ? "" : "No connection to the gateway: values are old");
      toggle(this.element, "offline", !connected);
    };
    // A session that ended while the link was down, or was ended by an administrator, is seen at once.
    this.live.onended = () => get("/api/session").catch(() => {});
    this._endIdle = watchIdle(session);
    this._ticking = setInterval(() => text(this._clock, stamp(this.live.now()).slice(0, 19)), 500);
    this._onhash = () => this.show();
    window.addEventListener("hashchange", this._onhash);
  }

  _open(open = !this.element.classList.contains("menu-open")) {
    toggle(this.element, "menu-open", open);
    this._opener.setAttribute("aria-expanded", String(open));
  }

  async show() {
    const [name, ...rest] = decodeURI(location.hash.replace(/^#\/?/, "")).split("/");
    const page = PAGES.find((each) => each.name === name && this.context.may(each.right)) ?? PAGES[0];
    this._open(false);
    for (const [each, link] of this._links) {
      if (each === page.name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${page.title} – ${this.context.site.site} – GridGate`;
    const turn = (this._turn = {});
    const [module] = await Promise.all([import(page.module), style(page.style)]);
    if (this._turn !== turn) return;
    this._endPage();
    this._endPage = () => {};
    const root = h("div", {class: `page page-${page.name}`});
    replace(this._main, root);
    this._endPage = (await module.open(root, {...this.context, path: rest.map(decodeURIComponent)})) ?? (() => {});
    this._main.scrollTop = 0;
  }

  async _password() {
    let session = null;
    const done = await ask({title: "Change your password", fields: newPasswordFields(), confirm: "Change", act: async (values) => {
      session = await changePassword(values);
    }});
    if (done) start(session);
  }

  close() {
    this._endPage();
    this._endIdle();
    this._endAlarms();
    clearInterval(this._ticking);
    window.removeEventListener("hashchange", this._onhash);
    this.live.close();
  }
}

// A page's own rules, once; waits until they hold, so that nothing jumps.
const styles = new Map();

function style(address) {
  if (!address) return undefined;
  if (!styles.has(address)) {
    styles.set(address, new Promise((resolve) => {
      const link = h("link", {rel: "stylesheet", href: new URL(address, import.meta.url).href, onload: resolve, onerror: resolve});
      document.head.append(link);
    }));
  }
  return styles.get(address);
}

boot();
