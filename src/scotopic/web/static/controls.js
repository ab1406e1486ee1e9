// The sliders of one picture: exposure, strength, white balance. Every move is told at once.

import { TEMPERATURES } from "./balance.js";
import { number, say } from "./i18n.js";
import { START } from "./queue.js";

// The temperature's slider runs evenly in mired (a million by kelvin), as the eye does.
const [MIRED_WARMEST_LIGHT, MIRED_COOLEST_LIGHT] = TEMPERATURES.map((kelvin) => 1e6 / kelvin);

/** The kelvin at a place 0..1 of the slider, rounded as photographers say it. */
export function kelvinAt(place) {
  const mired = MIRED_WARMEST_LIGHT - place * (MIRED_WARMEST_LIGHT - MIRED_COOLEST_LIGHT);
  return rounded(1e6 / mired);
}

function rounded(kelvin) {
  const step = kelvin < 4000 ? 20 : 50;
  return Math.round(kelvin / step) * step;
}

/** The slider's place of a temperature. */
export function placeOf(kelvin) {
  const place = (MIRED_WARMEST_LIGHT - 1e6 / kelvin) / (MIRED_WARMEST_LIGHT - MIRED_COOLEST_LIGHT);
  return Math.min(Math.max(place, 0), 1);
}

export class Controls {
  /** `changed(settings, moving)` hears of every move. */
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    // The balance at which temperature and tint stand: {temperature_k, tint, gains}; null while it is not known.
    this.own = null;
    this.camera = null; // What was told of the camera's balance of this picture.
    this.coloursKnown = true;
    this.drawable = false;
    this.ownOffered = true;
    const { ev, strength, temperature, tint } = form.elements;
    for (const slider of [ev, strength]) slider.addEventListener("input", () => this.moved(true));
    // The slider that is moved replaces its part alone; the other may stand beyond its end.
    const takes = (slider, part) => slider.addEventListener("input", () => {
      const { temperature_k, tint: off } = this.own;
      this.own = { temperature_k, tint: off, ...part() };
      form.elements.wb.value = "custom";
      this.moved(true);
    });
    takes(temperature, () => ({ temperature_k: kelvinAt(Number(temperature.value)) }));
    takes(tint, () => ({ tint: Number(tint.value) }));
    for (const slider of [ev, strength, temperature, tint]) this.leaveToScrolling(slider);
    for (const radio of form.elements.wb) radio.addEventListener("change", () => this.moved(false));
    // A slider goes back to where it began by a double click, as in other editors.
    for (const [slider, value] of [[ev, START.ev], [strength, START.strength]]) {
      slider.addEventListener("dblclick", () => {
        slider.value = value;
        this.moved(false);
      });
    }
    form.querySelector("#reset").addEventListener("click", () => {
      const { camera } = this;
      this.put(START);
      if (camera) this.showBalance(camera);
      this.changed(this.settings, false);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** A finger that scrolls may land on a slider: what it moved there goes back once the browser takes it for scrolling. */
  leaveToScrolling(slider) {
    let before = null;
    slider.addEventListener("pointerdown", () => {
      before = { value: slider.value, wb: this.form.elements.wb.value, own: this.own };
    });
    slider.addEventListener("pointercancel", () => {
      if (!before || slider.value === before.value) return;
      slider.value = before.value;
      this.form.elements.wb.value = before.wb;
      this.own = before.own;
      this.moved(false);
    });
  }

  moved(moving) {
    this.words();
    this.changed(this.settings, moving);
  }

  get settings() {
    const { ev, strength, wb } = this.form.elements;
    return {
      ev: Number(ev.value),
      strength: Number(strength.value),
      wb: wb.value === "custom" ? this.own : wb.value,
    };
  }

  /** Show a picture's settings. */
  put({ ev, strength, wb }) {
    const { elements } = this.form;
    elements.ev.value = ev;
    elements.strength.value = strength;
    elements.wb.value = typeof wb === "string" ? wb : "custom";
    this.stand(typeof wb === "string" ? null : wb);
    this.camera = null;
    this.coloursKnown = true;
    this.enable(this.drawable);
  }

  /** What the worker says of a balance: where temperature and tint stand, if it is the one that is chosen. */
  showBalance(balance) {
    const { of, gains, temperature_k, tint, coloursKnown } = balance;
    if (of === "camera") this.camera = balance;
    this.coloursKnown = coloursKnown;
    if (of === this.form.elements.wb.value && temperature_k !== null) this.stand({ temperature_k, tint, gains });
    this.enable(this.drawable);
  }

  stand(own) {
    this.own = own;
    if (own) {
      this.form.elements.temperature.value = placeOf(own.temperature_k);
      this.form.elements.tint.value = own.tint;
    }
    this.words();
  }

  /** Let hands on what does something: nothing before there is light to draw from. */
  enable(drawable) {
    this.drawable = drawable;
    const { elements } = this.form;
    for (const element of elements) element.disabled = !drawable;
    const custom = [...elements.wb].find(({ value }) => value === "custom");
    for (const element of [custom, elements.temperature, elements.tint]) element.disabled ||= !this.own;
    [...elements.wb].find(({ value }) => value === "daylight").disabled ||= !this.coloursKnown;
    this.form.querySelector("#wb-unknown").hidden = this.coloursKnown;
    custom.closest("label").hidden = !this.ownOffered && !this.own;
  }

  /** Write the values beside the sliders, and where screen readers look. */
  words() {
    const { ev, strength, temperature, tint } = this.form.elements;
    const signed = { signDisplay: "exceptZero" };
    this.write("ev", ev, say("stops", { ev: number(Number(ev.value), 2, signed) }));
    this.write("strength", strength, number(Number(strength.value), 0, { style: "percent" }));
    this.write("temperature", temperature, this.own ? say("kelvin", { kelvin: rounded(this.own.temperature_k) }) : "");
    this.write("tint", tint, this.own ? number(this.own.tint, 0, signed) : "");
  }

  write(name, slider, words) {
    this.form.querySelector(`#${name}-now`).textContent = words;
    slider.setAttribute("aria-valuetext", words);
    const { min, max, value } = slider;
    slider.style.setProperty("--at", `${((value - min) / (max - min)) * 100}%`);
  }

  /** Some engines know less: hide what they cannot do. An own balance that is there already stays. */
  offer({ ownBalance }) {
    this.ownOffered = ownBalance;
    this.enable(this.drawable);
    for (const name of ["temperature", "tint"]) {
      this.form.elements[name].closest(".control").hidden = !ownBalance;
    }
  }
}
