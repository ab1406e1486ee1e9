// What is chosen for one picture: exposure, strength, white balance, passes, fringes. Every move is told at once.

import { TEMPERATURES } from "../balance.js";
import { START, workOf } from "../choices.js";
import { number, say } from "./i18n.js";

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

const SIGNED = { signDisplay: "exceptZero" };

/**
 * The sliders and the words beside them, by the value or by the own balance. Those of the balance have their part of it,
 * and their place for it; each of the others is a setting of its own.
 */
const SLIDERS = {
  ev: { words: (value) => say("stops", { ev: number(value, 2, SIGNED) }) },
  strength: { words: (value) => number(value, 0, { style: "percent" }) },
  temperature: {
    part: (value) => ({ temperature_k: kelvinAt(value) }),
    place: ({ temperature_k }) => placeOf(temperature_k),
    words: (_, own) => (own ? say("kelvin", { kelvin: rounded(own.temperature_k) }) : ""),
  },
  tint: {
    part: (value) => ({ tint: value }),
    place: ({ tint }) => tint,
    words: (_, own) => (own ? number(own.tint, 0, SIGNED) : ""),
  },
};

const OF_BALANCE = Object.keys(SLIDERS).filter((name) => SLIDERS[name].part);

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
    const { elements } = form;
    for (const [name, { part }] of Object.entries(SLIDERS)) {
      const slider = elements[name];
      slider.addEventListener("input", () => {
        if (part) {
          // The slider that is moved replaces its part alone; the other may stand beyond its end.
          const { temperature_k, tint } = this.own;
          this.own = { temperature_k, tint, ...part(Number(slider.value)) };
          elements.wb.value = "custom";
        }
        this.moved(true);
      });
      slider.addEventListener("keydown", (event) => this.step(event, name));
      this.leaveToScrolling(slider);
      if (part) continue;
      // A slider goes back to where it began by a double click, as in other editors.
      slider.addEventListener("dblclick", () => {
        slider.value = START[name];
        this.moved(false);
      });
    }
    for (const radio of [...elements.wb, ...elements.passes, ...elements.fringes])
      radio.addEventListener("change", () => this.moved(false));
    form.querySelector("#reset").addEventListener("click", () => {
      const { camera } = this;
      // Not what the network works by: that is work, and is chosen for other pictures too.
      this.put({ ...START, ...workOf(this.settings) });
      if (camera) this.showBalance(camera);
      this.changed(this.settings, false);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Every press of an arrow changes what is told: temperatures are told more coarsely than they move. */
  step(event, name) {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const { part, words } = SLIDERS[name];
    if (!way || !part || !this.own || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const slider = event.target;
    const told = () => words(null, { ...this.own, ...part(Number(slider.value)) });
    const [before, from] = [told(), slider.value];
    for (let at = null; told() === before && slider.value !== at; ) {
      at = slider.value;
      slider.stepUp(way);
    }
    if (slider.value !== from) slider.dispatchEvent(new Event("input", { bubbles: true }));
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
    const chosen = ([name, begins]) => {
      const { value } = this.form.elements[name];
      return [name, typeof begins === "number" ? Number(value) : value === "custom" ? this.own : value];
    };
    return Object.fromEntries(Object.entries(START).map(chosen));
  }

  /** Show a picture's settings. */
  put(settings) {
    for (const name of Object.keys(START)) {
      const value = settings[name];
      this.form.elements[name].value = typeof value === "object" ? "custom" : value;
    }
    this.stand(typeof settings.wb === "string" ? null : settings.wb);
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
    if (own) for (const name of OF_BALANCE) this.form.elements[name].value = SLIDERS[name].place(own);
    this.words();
  }

  /** Let hands on what does something: before there is light to draw from nothing but what the work goes by. */
  enable(drawable) {
    this.drawable = drawable;
    const { elements } = this.form;
    for (const element of elements) element.disabled = !drawable && !element.closest("[data-always]");
    const custom = [...elements.wb].find(({ value }) => value === "custom");
    for (const element of [custom, ...OF_BALANCE.map((name) => elements[name])]) element.disabled ||= !this.own;
    [...elements.wb].find(({ value }) => value === "daylight").disabled ||= !this.coloursKnown;
    this.form.querySelector("#wb-unknown").hidden = this.coloursKnown;
    custom.closest("label").hidden = !this.ownOffered && !this.own;
  }

  /** Write the values beside the sliders, and where screen readers look. */
  words() {
    for (const [name, { words }] of Object.entries(SLIDERS)) {
      const slider = this.form.elements[name];
      const { min, max, value } = slider;
      const told = words(Number(value), this.own);
      const output = this.form.querySelector(`#${name}-now`);
      // What is written anew may be said anew.
      if (output.textContent !== told) output.textContent = told;
      if (slider.getAttribute("aria-valuetext") !== told) slider.setAttribute("aria-valuetext", told);
      slider.style.setProperty("--at", `${((value - min) / (max - min)) * 100}%`);
    }
  }

  /** Some engines know less: hide what they cannot do. An own balance that is there already stays. */
  offer({ ownBalance }) {
    this.ownOffered = ownBalance;
    this.enable(this.drawable);
    for (const name of OF_BALANCE) {
      this.form.elements[name].closest(".control").hidden = !ownBalance;
    }
  }
}
