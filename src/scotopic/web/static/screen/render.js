// Asks the worker for the pixels that the view wants: at most one answer under way for each development, so
// that a slider's many moves never pile up; the newest wish is asked for next.

import { keyOf } from "../choices.js";

const QUICK_PIXELS = 500_000; // While a slider moves; the full size follows when it rests.
const REST_MS = 180;

export class Renders {
  /** `ask` sends a message to the worker; `laid` hears which development came, and its canvas; `turned` that
   * something was asked for, or nothing is any more. */
  constructor(view, ask, { laid, turned }) {
    this.view = view;
    this.ask = ask;
    this.laid = laid;
    this.turned = turned;
    this.serial = 0;
    this.turn = { traditional: null, enhanced: null };
    this.picture = null;
  }

  /** Show another picture, or none. */
  take(picture) {
    this.picture = picture;
    this.done = { traditional: {}, enhanced: {} };
    this.turn = { traditional: null, enhanced: null };
    this.wish();
  }

  /** The view moved, or the settings changed: `moving` while a slider is in the hand. */
  wish({ moving = false } = {}) {
    if (moving) {
      this.quick = true;
      clearTimeout(this.rest);
      this.rest = setTimeout(() => {
        this.quick = false;
        this.next();
      }, REST_MS);
    }
    this.next();
  }

  next() {
    const { picture } = this;
    // Before the preview there is nothing to draw from.
    if (picture?.drawable) {
      this.nextOf("traditional");
      this.nextOf("enhanced");
    }
    this.turned();
  }

  nextOf(which) {
    if (this.turn[which]) return;
    const { enhanced, settings } = this.picture;
    // What is no part of the traditional development: for that it need not be drawn anew.
    const state = `${enhanced} ${keyOf(which, settings)} `;
    const wishes = this.view.zoomed ? [["detail", this.view.seen], ["base", this.view.whole]] : [["base", this.view.whole]];
    for (const [role, full] of wishes) {
      const view = this.quick ? smaller(full) : full;
      const key = state + JSON.stringify(view);
      if (this.done[which][role] === key) continue;
      if (role === "base" && this.quick && this.view.zoomed) continue;
      this.turn[which] = { role, key, view, state, serial: ++this.serial };
      const { x, y, width, height, outWidth, outHeight } = view;
      this.ask({
        type: "render", id: this.picture.id, which, settings,
        view: { x, y, width, height }, outWidth, outHeight, serial: this.serial,
      });
      return;
    }
  }

  /** An answer came. */
  rendered({ id, which, serial, image }) {
    const turn = this.turn[which];
    if (id !== this.picture?.id || turn?.serial !== serial) return;
    this.turn[which] = null;
    this.done[which][turn.role] = turn.key;
    const { x, y, width, height } = turn.view;
    if (turn.role === "base" && this.done[which].detailState !== turn.state) this.view.dropDetail(which);
    if (turn.role === "detail") this.done[which].detailState = turn.state;
    const canvas = this.view.lay(which, turn.role, image, { x, y, width, height });
    this.laid(which, turn.role, canvas);
    this.next();
  }

  /** An answer that will not come: what was asked for is not asked for again. */
  failed({ serial }) {
    for (const [which, turn] of Object.entries(this.turn)) {
      if (turn?.serial !== serial) continue;
      this.done[which][turn.role] = turn.key;
      this.turn[which] = null;
      this.next();
      return;
    }
  }

  /** Whether what is on the screen is what was asked for. */
  get settled() {
    return !this.turn.traditional && !this.turn.enhanced && !this.quick;
  }
}

function smaller(view) {
  const share = Math.min(1, Math.sqrt(QUICK_PIXELS / (view.outWidth * view.outHeight)));
  return {
    ...view,
    outWidth: Math.max(1, Math.round(view.outWidth * share)),
    outHeight: Math.max(1, Math.round(view.outHeight * share)),
  };
}
