// Values, qualities, times in words: the same on every page.

// gateway/points/quality.py
export const QUALITY = [
  "invalid", "not topical", "comm lost", "never reported", "substituted", "blocked", "over range", "reference error",
  "chatter", "time invalid", "test", "local forced",
];
const UNUSABLE = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 3) | (1 << 7);
const NEVER = 1 << 3;
const DOUBLE = ["intermediate", "open", "closed", "faulty"];

export function qualityWords(quality) {
  return quality ? QUALITY.filter((_, bit) => quality & (1 << bit)).join(", ") : "good";
}

export const usable = (quality) => !(quality & UNUSABLE);

// "bad" (not to be used), "doubt" (usable, but look), "good"
export function qualityClass(quality) {
  if (!usable(quality)) return "bad";
  return quality ? "doubt" : "good";
}

export function number(value, digits = 5) {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en-IN");
  const size = Math.abs(value);
  const decimals = size === 0 ? 0 : Math.max(0, Math.min(6, digits - 1 - Math.floor(Math.log10(size))));
  return value.toLocaleString("en-IN", {maximumFractionDigits: Math.min(decimals, size >= 1000 ? 1 : size >= 10 ? 2 : 3)});
}

export function valueWords(known) {
  if (!known || known.quality & NEVER) return "–";
  if (known.kind === "double") return DOUBLE[known.value] ?? number(known.value);
  if (known.kind === "binary" || known.kind === "control") return known.value ? "on" : "off";
  return number(known.value);
}

export const withUnit = (known) => [valueWords(known), known?.unit].filter(Boolean).join(" ");

export function age(ms) {
  if (!Number.isFinite(ms)) return "–";
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(0)} h` : `${(seconds / 86400).toFixed(0)} d`;
}

const pad = (value, width = 2) => String(value).padStart(width, "0");

// Local time with ms, as an operator reads it: 2026-03-01 14:05:09.123
export function stamp(ms, {date = true} = {}) {
  if (!ms) return "–";
  const at = new Date(ms);
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  return date ? `${day} ${time}` : time;
}
