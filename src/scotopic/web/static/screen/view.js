// The picture on the screen: two developments over each other, a line to wipe between them, zoom and pan.
// Places are in pixels of the upright picture unless a name says otherwise; `scale` is pixels of the screen
// for one of the picture, so that 1 is 100% on any display.

export const SCALE_MAX = 8;
const FIT_MAX = 2; // A small picture is not blown up further than this to fill the stage.

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
  /** `changed` is called after every zoom or pan, `scaled` after one by hand, `wiped` after every move of the line. */
  constructor(parts, { changed, scaled, wiped }) {
    this.parts = parts; // {stage, canvas, edge, tagLeft, tagRight, zoomNow}
    this.changed = changed;
    this.scaled = scaled;
    this.wiped = wiped;
    this.pen = parts.canvas.getContext("2d", { alpha: false });
    this.wipe = 0.5;
    this.held = false; // The traditional alone, while a key is held.
    this.compare = true;
    this.clear();
    new ResizeObserver(() => this.resize()).observe(parts.stage);
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
    if (place && !place.fitted) Object.assign(this, place);
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
    this.scaled(this.scale);
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
    this.scaled(this.scale);
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
}
