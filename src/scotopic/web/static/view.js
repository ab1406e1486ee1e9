// The picture on the screen: two developments over each other, a line to wipe between them, zoom and pan.
// Places are in pixels of the upright picture unless a name says otherwise; `scale` is pixels of the screen
// for one of the picture, so that 1 is 100% on any display.

export const SCALE_MAX = 8;
const FIT_MAX = 2; // A small picture is not blown up further than this to fill the stage.
const STEP = 1.25; // One press of + or one notch of a wheel.
const NEAR_EDGE = 24; // How near to the line, in CSS pixels, a finger takes hold of it.
const TAP_MS = 320; // Two taps within this are a double tap.

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A canvas that shows an image {width, height, data}. */
export function canvasOf({ width, height, data }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas;
}

/** One development's pixels: the whole at the size of the stage (`base`) and the part zoomed to (`detail`). */
class Layer {
  base = null;
  detail = null;
}

export class View {
  /** `changed` is called after every zoom or pan, `wiped` after every move of the line. */
  constructor(parts, { changed, wiped }) {
    this.parts = parts; // {stage, canvas, edge, tagLeft, tagRight, zoomNow}
    this.changed = changed;
    this.wiped = wiped;
    this.pen = parts.canvas.getContext("2d", { alpha: false });
    this.pointers = new Map();
    this.wipe = 0.5;
    this.held = false; // The traditional alone, while a key is held.
    this.compare = true;
    this.clear();
    new ResizeObserver(() => this.resize()).observe(parts.stage);
    this.listen();
    this.resize();
  }

  clear() {
    this.width = this.height = 0;
    this.layers = { traditional: new Layer(), enhanced: new Layer() };
    this.draw();
  }

  /** Make room for a picture of this size; its layers come later. `place` is where another visit stopped. */
  show(width, height, place = null) {
    this.width = width;
    this.height = height;
    this.layers = { traditional: new Layer(), enhanced: new Layer() };
    if (place) Object.assign(this, place);
    else this.fit();
    this.moved();
  }

  get place() {
    return { scale: this.scale, x: this.x, y: this.y, fitted: this.fitted };
  }

  /** Lay an image {width, height, data} or a canvas over `rect`, as the whole or as the part zoomed to. */
  lay(which, role, image, rect) {
    const canvas = image.data ? canvasOf(image) : image;
    this.layers[which][role] = { canvas, ...rect };
    this.draw();
    return canvas;
  }

  /** Forget the part zoomed to, when what it shows no longer holds. */
  dropDetail(which) {
    this.layers[which].detail = null;
  }

  // ---- where we look

  resize() {
    const { stage, canvas } = this.parts;
    this.dpr = window.devicePixelRatio || 1;
    this.stageWidth = Math.max(1, Math.round(stage.clientWidth * this.dpr));
    this.stageHeight = Math.max(1, Math.round(stage.clientHeight * this.dpr));
    if (canvas.width !== this.stageWidth || canvas.height !== this.stageHeight) {
      canvas.width = this.stageWidth;
      canvas.height = this.stageHeight;
    }
    if (this.fitted !== false) this.fit();
    this.moved();
  }

  get fitScale() {
    if (!this.width) return 1;
    return Math.min(this.stageWidth / this.width, this.stageHeight / this.height, FIT_MAX);
  }

  fit() {
    this.fitted = true;
    this.scale = this.fitScale;
    this.x = this.width / 2;
    this.y = this.height / 2;
  }

  showAll() {
    this.fit();
    this.moved();
  }

  /** Zoom to `scale`, leaving what lies at `at` (screen pixels from the stage's corner) where it is. */
  zoomTo(scale, at = { x: this.stageWidth / 2, y: this.stageHeight / 2 }) {
    const before = this.toPicture(at);
    const low = Math.min(this.fitScale, 1);
    this.scale = clamp(scale, low, SCALE_MAX);
    this.fitted = this.scale <= this.fitScale * 1.001 && this.scale >= this.fitScale * 0.999;
    this.x = before.x - (at.x - this.stageWidth / 2) / this.scale;
    this.y = before.y - (at.y - this.stageHeight / 2) / this.scale;
    this.moved();
  }

  zoomBy(factor, at) {
    this.zoomTo(this.scale * factor, at);
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.moved();
  }

  toPicture(at) {
    return {
      x: this.x + (at.x - this.stageWidth / 2) / this.scale,
      y: this.y + (at.y - this.stageHeight / 2) / this.scale,
    };
  }

  moved() {
    const halfWidth = this.stageWidth / 2 / this.scale;
    const halfHeight = this.stageHeight / 2 / this.scale;
    this.x = halfWidth * 2 >= this.width ? this.width / 2 : clamp(this.x, halfWidth, this.width - halfWidth);
    this.y = halfHeight * 2 >= this.height ? this.height / 2 : clamp(this.y, halfHeight, this.height - halfHeight);
    if (this.parts.zoomNow) this.parts.zoomNow.textContent = `${Math.round(this.scale * 100)}%`;
    this.parts.canvas.classList.toggle("pannable", this.zoomed);
    this.draw();
    if (this.width) this.changed();
  }

  get zoomed() {
    return this.width > 0 && this.scale > this.fitScale * 1.001;
  }

  /** What is seen, in whole pixels, and how many pixels of the screen it fills at most. */
  get seen() {
    const halfWidth = this.stageWidth / 2 / this.scale;
    const halfHeight = this.stageHeight / 2 / this.scale;
    const x = Math.max(0, Math.floor(this.x - halfWidth));
    const y = Math.max(0, Math.floor(this.y - halfHeight));
    const width = Math.min(this.width, Math.ceil(this.x + halfWidth)) - x;
    const height = Math.min(this.height, Math.ceil(this.y + halfHeight)) - y;
    const share = Math.min(1, this.scale);
    return {
      x, y, width, height,
      outWidth: Math.max(1, Math.round(width * share)),
      outHeight: Math.max(1, Math.round(height * share)),
    };
  }

  /** The whole picture at the size of the stage. */
  get whole() {
    const share = Math.min(1, this.fitScale);
    return {
      x: 0, y: 0, width: this.width, height: this.height,
      outWidth: Math.max(1, Math.round(this.width * share)),
      outHeight: Math.max(1, Math.round(this.height * share)),
    };
  }

  // ---- drawing

  /** Where the picture's top-left corner lies: on a whole pixel of the screen, so that 100% is not blurred. */
  get corner() {
    return [
      Math.round(this.stageWidth / 2 - this.x * this.scale), Math.round(this.stageHeight / 2 - this.y * this.scale),
    ];
  }

  /** The picture's place on the canvas, cut at the stage's borders: left and right in screen pixels. */
  get span() {
    const [left] = this.corner;
    return [Math.max(0, left), Math.min(this.stageWidth, left + this.width * this.scale)];
  }

  get edgeAt() {
    const [left, right] = this.span;
    return left + (right - left) * (this.held ? 1 : this.wipe);
  }

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.paint();
    });
  }

  paint() {
    const { pen } = this;
    const { edge, tagLeft, tagRight } = this.parts;
    pen.fillStyle = getComputedStyle(this.parts.stage).backgroundColor;
    pen.fillRect(0, 0, this.stageWidth, this.stageHeight);
    const both = this.compare && Boolean(this.layers.traditional.base && this.layers.enhanced.base);
    edge.hidden = tagLeft.hidden = tagRight.hidden = !both;
    if (!this.width) return;
    if (!both) {
      for (const layer of [this.layers.traditional, this.layers.enhanced]) this.paintLayer(layer, 0, this.stageWidth);
      return;
    }
    const at = this.edgeAt;
    this.paintLayer(this.layers.traditional, 0, at);
    this.paintLayer(this.layers.enhanced, at, this.stageWidth);
    edge.style.transform = `translateX(${at / this.dpr}px)`;
    tagLeft.classList.toggle("faded", at / this.dpr < tagLeft.offsetWidth + 24);
    tagRight.classList.toggle("faded", (this.stageWidth - at) / this.dpr < tagRight.offsetWidth + 24);
  }

  paintLayer(layer, from, to) {
    const { pen } = this;
    if (to <= from) return;
    pen.save();
    pen.beginPath();
    pen.rect(from, 0, to - from, this.stageHeight);
    pen.clip();
    const [left, top] = this.corner;
    for (const piece of [layer.base, layer.detail]) {
      if (!piece) continue;
      const enlarged = (piece.width * this.scale) / piece.canvas.width;
      // Beyond 200% a photographer wants to see the pixels themselves.
      pen.imageSmoothingEnabled = enlarged < 2 || piece === layer.base;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(
        piece.canvas,
        left + piece.x * this.scale,
        top + piece.y * this.scale,
        piece.width * this.scale,
        piece.height * this.scale,
      );
    }
    pen.restore();
  }

  // ---- the line

  setWipe(share) {
    this.wipe = clamp(share, 0, 1);
    this.parts.edge.setAttribute("aria-valuenow", String(Math.round(this.wipe * 100)));
    this.wiped(this.wipe);
    this.draw();
  }

  wipeTo(screenX) {
    const [left, right] = this.span;
    if (right > left) this.setWipe((screenX - left) / (right - left));
  }

  hold(on) {
    this.held = on;
    this.draw();
  }

  // ---- hands: mouse, pen, fingers, wheel, keys

  listen() {
    const { canvas, edge } = this.parts;
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

  at(event) {
    const box = this.parts.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * this.dpr, y: (event.clientY - box.top) * this.dpr };
  }

  down(event, target) {
    if (!this.width || event.button > 0) return;
    const at = this.at(event);
    target.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 2) {
      this.gesture = "pinch";
      return;
    }
    const near = Math.abs(at.x - this.edgeAt) <= NEAR_EDGE * this.dpr && !this.parts.edge.hidden;
    this.gesture = target === this.parts.edge || near || !this.zoomed ? "wipe" : "pan";
    this.started = { ...at, time: event.timeStamp };
    this.grip = near || target === this.parts.edge ? at.x - this.edgeAt : 0;
    this.travelled = false;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const at = this.at(event);
    if (this.gesture === "pinch") {
      const other = [...this.pointers.entries()].find(([id]) => id !== event.pointerId)?.[1];
      this.pointers.set(event.pointerId, at);
      if (other) this.pinch(before, at, other);
      return;
    }
    this.pointers.set(event.pointerId, at);
    if (Math.hypot(at.x - this.started.x, at.y - this.started.y) > 4 * this.dpr) this.travelled = true;
    if (!this.travelled) return;
    if (this.gesture === "wipe") this.wipeTo(at.x - this.grip);
    else this.pan(at.x - before.x, at.y - before.y);
  }

  pinch(before, now, other) {
    const spread = (a) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
    const middle = (a) => ({ x: (a.x + other.x) / 2, y: (a.y + other.y) / 2 });
    const [from, to] = [middle(before), middle(now)];
    this.x -= (to.x - from.x) / this.scale;
    this.y -= (to.y - from.y) / this.scale;
    this.zoomTo(this.scale * (spread(now) / spread(before)), to);
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
    this.tapped = { ...at, time: event.timeStamp };
    const close = last && Math.hypot(at.x - last.x, at.y - last.y) < 30 * this.dpr;
    if (close && event.timeStamp - last.time < TAP_MS) {
      this.tapped = null;
      this.toggle(at);
    }
  }

  /** Between the whole and 100% (200% where the whole is 100% already). */
  toggle(at) {
    if (this.zoomed) this.showAll();
    else this.zoomTo(this.fitScale < 1 ? 1 : 2 * this.fitScale, at);
  }

  wheel(event) {
    if (!this.width) return;
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    this.zoomBy(STEP ** clamp(-pixels / 60, -3, 3), this.at(event));
  }

  /** Keys that zoom, wherever the focus is; true when this was one. */
  zoomKey(key) {
    switch (key) {
      case "+":
      case "=":
        this.zoomBy(STEP);
        return true;
      case "-":
      case "_":
        this.zoomBy(1 / STEP);
        return true;
      case "0":
        this.showAll();
        return true;
      case "1":
        this.zoomTo(1);
        return true;
      default:
        return false;
    }
  }

  key(event) {
    const step = 0.15;
    const ways = {
      ArrowLeft: [step * this.stageWidth, 0],
      ArrowRight: [-step * this.stageWidth, 0],
      ArrowUp: [0, step * this.stageHeight],
      ArrowDown: [0, -step * this.stageHeight],
    };
    const way = ways[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.pan(...way);
  }

  edgeKey(event) {
    const step = event.shiftKey ? 0.1 : 0.02;
    const moves = {
      ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -0.1, PageUp: 0.1,
      Home: -1, End: 1,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.setWipe(this.wipe + moves[event.key]);
  }
}
