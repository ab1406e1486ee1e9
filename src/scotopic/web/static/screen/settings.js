// What the user chose, kept between visits in the browser's own store; nothing else is kept there.

import { FRINGES, PASSES } from "../choices.js";

const KEY = "scotopic-settings";

const KNOWN = {
  language: ["auto", "en", "de"],
  theme: ["auto", "light", "dark"],
  place: ["device", "computer"],
  engine: ["auto", "webgpu", "wasm", "wasm-single"],
  passes: PASSES.map(String),
  fringes: FRINGES,
  quality: ["92", "85", "97"],
  keys: ["on", "off"],
};

/** The settings as stored; the first of each list where there is none, or where it is unknown. */
export function load() {
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
  } catch {
    // A private window may have no store, and a damaged one is as good as none.
  }
  return Object.fromEntries(
    Object.entries(KNOWN).map(([name, values]) => [name, values.includes(stored[name]) ? stored[name] : values[0]]),
  );
}

/** Keep the settings; without a store they last as long as the page. */
export function keep(settings) {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // See load().
  }
}

/** Show the page light or dark; "auto" leaves it to the system. */
export function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
