// The user's language: sentences by key, in the page's attributes data-say, data-say-label and data-say-alt.

import de from "./strings/de.js";
import en from "./strings/en.js";

export const LANGUAGES = { en, de };

let chosen = "en";
let words = en;

/** Take a language by its tag, or the first of the browser's that the page knows. */
export function choose(asked) {
  const wanted = asked && asked !== "auto" ? [asked] : (navigator.languages ?? [navigator.language ?? "en"]);
  chosen = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in LANGUAGES) ?? "en";
  words = LANGUAGES[chosen];
  return chosen;
}

/** The sentence of a key, with {name} replaced by values[name]. */
export function say(key, values = {}) {
  const sentence = words[key] ?? LANGUAGES.en[key];
  if (sentence === undefined) throw new Error(`no sentence for ${key}`);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * Write a key's sentence into an element. Its {words} are an error's, in English alone, and marked as that; where
 * `values.of` names a sentence, they are that one.
 */
export function put(element, key, values = {}) {
  const [before, ...after] = say(key, { ...values, words: "\0" }).split("\0");
  const english = Object.assign(document.createElement("span"), { lang: "en", textContent: values.words ?? "" });
  const words = values.of ? say(values.of) : english;
  element.replaceChildren(before, ...after.flatMap((rest) => [words, rest]));
  return element;
}

/** Whether there is a sentence of this key. */
export const known = (key) => key in LANGUAGES.en;

/** A number in the user's manner: 1,5 or 1.5; below zero with a minus, which is as wide as a plus. */
export function number(value, digits = 0, options = {}) {
  return new Intl.NumberFormat(chosen, {
    minimumFractionDigits: digits, maximumFractionDigits: digits, ...options,
  }).format(value).replace("-", "−");
}

/** Put the sentences into every marked element below `root`. */
export function fill(root = document) {
  document.documentElement.lang = chosen;
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-say-alt]")) element.alt = say(element.dataset.sayAlt);
  for (const element of root.querySelectorAll("[data-say-label]")) {
    const label = say(element.dataset.sayLabel);
    element.setAttribute("aria-label", label);
    if (element.matches("button")) element.title = label;
  }
}
