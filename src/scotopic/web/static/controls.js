// The sliders of one picture: exposure, strength, white balance. Every move is told at once.

import { number, say } from "./i18n.js";
import { START } from "./queue.js";

// The temperature's slider runs evenly in mired (a million by kelvin), as the eye does: 2000 K to 12000 K.
const MIRED_WARMEST_LIGHT = 1e6 / 2000;
const MIRED_COOLEST_LIGHT = 1e6 / 12000;
const NEUTRAL = { temperature_k: 5000, tint: 0 };

/** The kelvin at a place 0..1 of the slider, rounded as photographers say it. */
export function kelvinAt(place) {
  const mired = MIRED_WARMEST_LIGHT - place * (MIRED_WARMEST_LIGHT - MIRED_COOLEST_LIGHT);
  const kelvin = 1e6 / mired;
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
    this.balance = NEUTRAL;
    const { ev, strength, temperature, tint } = form.elements;
    for (const slider of [ev, strength]) slider.addEventListener("input", () => this.moved(true));
    for (const slider of [temperature, tint]) {
      slider.addEventListener("input", () => {
        form.elements.wb.value = "custom";
        this.moved(true);
      });
    }
    for (const radio of form.elements.wb) radio.addEventListener("change", () => this.moved(false));
    // A slider goes back to where it began by a double click, as in other editors.
    for (const [slider, value] of [[ev, START.ev], [strength, START.strength]]) {
      slider.addEventListener("dblclick", () => {
        slider.value = value;
        this.moved(false);
      });
    }
    form.querySelector("#reset").addEventListener("click", () => {
      this.put(START);
      this.changed(this.settings, false);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  moved(moving) {
    this.words();
    this.changed(this.settings, moving);
  }

  get settings() {
    const { ev, strength, wb, temperature, tint } = this.form.elements;
    const own = { temperature_k: kelvinAt(Number(temperature.value)), tint: Number(tint.value) };
    return {
      ev: Number(ev.value),
      strength: Number(strength.value),
      wb: wb.value === "custom" ? own : wb.value,
    };
  }

  /** Show a picture's settings. */
  put({ ev, strength, wb }) {
    const { elements } = this.form;
    elements.ev.value = ev;
    elements.strength.value = strength;
    elements.wb.value = typeof wb === "string" ? wb : "custom";
    this.setBalance(typeof wb === "string" ? this.balance : wb);
  }

  /** Where temperature and tint stand while the balance is not the user's own. */
  showBalance(balance) {
    if (!balance || !Number.isFinite(balance.temperature_k)) return;
    this.balance = balance;
    if (this.form.elements.wb.value !== "custom") this.setBalance(balance);
  }

  setBalance({ temperature_k: kelvin, tint }) {
    this.form.elements.temperature.value = placeOf(kelvin);
    this.form.elements.tint.value = tint;
    this.words();
  }

  /** Write the values beside the sliders, and where screen readers look. */
  words() {
    const { ev, strength, temperature, tint } = this.form.elements;
    const signed = { signDisplay: "exceptZero" };
    this.write("ev", ev, say("stops", { ev: number(Number(ev.value), 2, signed) }));
    this.write("strength", strength, number(Number(strength.value), 0, { style: "percent" }));
    this.write("temperature", temperature, say("kelvin", { kelvin: kelvinAt(Number(temperature.value)) }));
    this.write("tint", tint, number(Number(tint.value), 0, signed));
  }

  write(name, slider, words) {
    this.form.querySelector(`#${name}-now`).textContent = words;
    slider.setAttribute("aria-valuetext", words);
    const { min, max, value } = slider;
    slider.style.setProperty("--at", `${((value - min) / (max - min)) * 100}%`);
  }

  /** Some engines know less: hide what they cannot do. */
  offer({ ownBalance }) {
    this.form.querySelector('[name="wb"][value="custom"]').closest("label").hidden = !ownBalance;
    for (const name of ["temperature", "tint"]) {
      this.form.elements[name].closest(".control").hidden = !ownBalance;
    }
  }
}
