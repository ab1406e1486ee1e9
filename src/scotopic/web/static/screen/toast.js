// What is told in passing, over the page: it goes after a while, but for what went wrong, which stays until it is put
// away.

import { put, say } from "./i18n.js";

const SHOWN_MS = 5000;

const STAYS = new Set([
  "noPhotos", "sharedNothing", "sharedLost", "sharedUnread", "drawFailed", "failedNetworkTitle", "saveFailed",
  "savedSome", "shareFailed",
]);

export class Toast {
  /** `left` is called where what is put away had the focus. */
  constructor(element, left) {
    this.element = element;
    this.left = left;
    this.kept = [];
    this.passing = null;
  }

  /** Show a sentence by its key. */
  show(key, values = {}) {
    const line = { key, values };
    const same = (other) => JSON.stringify(other) === JSON.stringify(line);
    this.passing = null;
    if (!STAYS.has(key)) this.passing = line;
    else if (!this.kept.some(same)) this.kept.push(line);
    this.fill();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.hush(), SHOWN_MS);
  }

  /** What was told in passing no longer holds. */
  hush() {
    this.passing = null;
    this.fill();
  }

  putAway() {
    const focused = this.element.contains(document.activeElement);
    this.kept = [];
    this.fill();
    if (focused) this.left();
  }

  /** Write the sentences, in the language of now. */
  fill() {
    const lines = [...this.kept, ...(this.passing ? [this.passing] : [])];
    this.element.classList.toggle("shown", lines.length > 0);
    if (!lines.length) return; // It fades with what it says.
    this.element.classList.toggle("stays", this.kept.length > 0);
    const paragraphs = lines.map(({ key, values }) => put(document.createElement("p"), key, values));
    this.element.replaceChildren(...paragraphs, ...(this.kept.length ? [this.button()] : []));
  }

  button() {
    const before = this.element.querySelector("button");
    const button = before ?? document.createElement("button");
    button.setAttribute("aria-label", say("close"));
    if (before) return before;
    Object.assign(button, { type: "button", className: "icon-only" });
    button.innerHTML = '<svg aria-hidden="true"><use href="#i-close"/></svg>';
    button.addEventListener("click", () => this.putAway());
    return button;
  }
}
