// Locks the page when nobody touches it. The gateway decides: other windows of the same session count too.

import {get, post, touched} from "./api.js";
import {h, text} from "./dom.js";

const WARN_S = 60;
const TELL_S = 20;
const INPUTS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];

// Begins to watch; returns a function that ends it.
export function watchIdle(session) {
  const warnS = Math.min(WARN_S, session.idle_s / 3);
  const words = h("span");
  const warning = h("div", {class: "toast problem idle-warning", role: "alert"}, words,
    h("button", {type: "button", class: "stay", onclick: () => act()}, "Stay"));
  let endsMs = performance.now() + session.left_s * 1000;
  let toldMs = performance.now();
  let asking = false;

  const learn = (known) => {
    endsMs = performance.now() + known.left_s * 1000;
  };
  // A 401 shows the login by itself.
  const ask = async (call) => {
    if (asking) return;
    asking = true;
    try {
      learn(await call());
    } catch {
      endsMs = Math.max(endsMs, performance.now() + 2000);
    } finally {
      asking = false;
    }
  };

  function act() {
    touched();
    const nowMs = performance.now();
    if (!warning.isConnected && nowMs - toldMs < Math.min(TELL_S, session.idle_s / 6) * 1000) return;
    toldMs = nowMs;
    warning.remove();
    ask(() => post("/api/session/active"));
  }

  const tick = setInterval(() => {
    const leftS = (endsMs - performance.now()) / 1000;
    if (leftS <= 0) ask(() => get("/api/session"));
    if (leftS > warnS) {
      warning.remove();
    } else if (!warning.isConnected) {
      ask(() => get("/api/session")).then(() => {
        const stillS = (endsMs - performance.now()) / 1000;
        if (stillS <= warnS && stillS > 0) document.getElementById("toasts").append(warning);
      });
    }
    text(words, `Nobody is here: the page locks in ${Math.max(0, Math.ceil(leftS))} s.`);
  }, 1000);
  for (const name of INPUTS) window.addEventListener(name, act, {passive: true, capture: true});
  touched();
  return () => {
    clearInterval(tick);
    warning.remove();
    for (const name of INPUTS) window.removeEventListener(name, act, {capture: true});
  };
}
