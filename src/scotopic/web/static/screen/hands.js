// Mouse, pen, fingers, wheel and keys on a view: one finger moves the line or the picture, two zoom, a tap takes the
// line to it, two taps zoom.

const NEAR_EDGE = 24; // How near to the line, in CSS pixels, a finger takes hold of it.
const TRAVEL = 4; // CSS pixels that a finger moves before it is no tap any more.
const TAP_MS = 320; // Two taps within this are a double tap.
const TAP_NEAR = 30; // CSS pixels between them.
const STEP = 1.25; // One press of + or one notch of a wheel.
const WHEEL_NOTCH = 60; // CSS pixels that such a notch scrolls.

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Hands {
  constructor(view) {
    this.view = view;
    this.pointers = new Map();
    const { canvas, edge } = view.parts;
    for (const target of [canvas, edge]) {
      target.addEventListener("pointerdown", (event) => this.down(event, target));
      target.addEventListener("pointermove", (event) => this.move(event));
      for (const end of ["pointerup", "pointercancel"]) {
        target.addEventListener(end, (event) => this.up(event));
      }
      target.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    edge.addEventListener("keydown", (event) => this.edgeKey(event));
  }

  /** Where an event is, in screen pixels from the stage's corner. */
  at(event) {
    const box = this.view.parts.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * this.view.dpr, y: (event.clientY - box.top) * this.view.dpr };
  }

  down(event, target) {
    const { view } = this;
    if (!view.width || event.button > 0) return;
    const at = this.at(event);
    target.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 2) {
      this.gesture = "pinch";
      return;
    }
    const { edge } = view.parts;
    const near = target === edge || (!edge.hidden && Math.abs(at.x - view.edgeAt) <= NEAR_EDGE * view.dpr);
    this.gesture = near || !view.zoomed ? "wipe" : "pan";
    this.started = at;
    this.held = near; // It took hold of the line: a tap leaves that where it is.
    this.grip = near ? at.x - view.edgeAt : 0;
    this.travelled = false;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const { view } = this;
    const at = this.at(event);
    this.pointers.set(event.pointerId, at);
    if (this.gesture === "pinch") {
      const other = [...this.pointers.entries()].find(([id]) => id !== event.pointerId)?.[1];
      if (other) this.pinch(before, at, other);
      return;
    }
    if (Math.hypot(at.x - this.started.x, at.y - this.started.y) > TRAVEL * view.dpr) this.travelled = true;
    if (!this.travelled) return;
    if (this.gesture === "wipe") view.wipeTo(at.x - this.grip);
    else view.pan(at.x - before.x, at.y - before.y);
  }

  pinch(before, now, other) {
    const spread = (a) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
    const middle = (a) => ({ x: (a.x + other.x) / 2, y: (a.y + other.y) / 2 });
    const [from, to] = [middle(before), middle(now)];
    this.view.pan(to.x - from.x, to.y - from.y);
    this.view.zoomBy(spread(now) / spread(before), to);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.gesture === "pinch") {
      // The finger that stays goes on panning.
      if (this.pointers.size === 1) {
        this.gesture = "pan";
        this.started = [...this.pointers.values()][0];
        this.travelled = true;
      }
      return;
    }
    if (event.type === "pointercancel" || this.travelled) return;
    const at = this.at(event);
    const last = this.tapped;
    this.tapped = { ...at, time: event.timeStamp, wipe: this.view.wipe };
    const close = last && Math.hypot(at.x - last.x, at.y - last.y) < TAP_NEAR * this.view.dpr;
    if (close && event.timeStamp - last.time < TAP_MS) {
      this.tapped = null;
      this.view.setWipe(last.wipe); // The first of the two was no wish for the line.
      this.toggle(at);
    } else if (this.gesture === "wipe" && !this.held && !this.view.parts.edge.hidden) this.view.wipeTo(at.x);
  }

  /** Between the whole and 100% (twice the whole where that is 100% already). */
  toggle(at) {
    const { view } = this;
    if (view.zoomed) view.showAll();
    else view.zoomTo(view.fitScale < 1 ? 1 : 2 * view.fitScale, at);
  }

  wheel(event) {
    if (!this.view.width) return;
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    this.view.zoomBy(STEP ** clamp(-pixels / WHEEL_NOTCH, -3, 3), this.at(event));
  }

  /** Keys that zoom, wherever the focus is; true when this was one. */
  zoomKey(key) {
    switch (key) {
      case "+":
      case "=":
        this.view.zoomBy(STEP);
        return true;
      case "-":
      case "_":
        this.view.zoomBy(1 / STEP);
        return true;
      case "0":
        this.view.showAll();
        return true;
      case "1":
        this.view.zoomTo(1);
        return true;
      default:
        return false;
    }
  }

  key(event) {
    const across = 0.15 * this.view.stageWidth;
    const down = 0.15 * this.view.stageHeight;
    const ways = { ArrowLeft: [across, 0], ArrowRight: [-across, 0], ArrowUp: [0, down], ArrowDown: [0, -down] };
    const way = ways[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.view.pan(...way);
  }

  edgeKey(event) {
    const step = event.shiftKey ? 0.1 : 0.02;
    const moves = {
      ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -0.1, PageUp: 0.1,
      Home: -1, End: 1,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.view.setWipe(this.view.wipe + moves[event.key]);
  }
}
