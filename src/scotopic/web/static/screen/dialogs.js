// The settings, the help, what is asked before something is lost, and the wipe of the start page's sample.

import { LANGUAGES, put, say } from "./i18n.js";

/** What is told meanwhile is told in the open dialog: all else is beyond reach of eyes and screen readers. */
function bringTold() {
  (document.querySelector("dialog[open]") ?? document.body).append(...document.querySelectorAll("#toast, #said"));
}

/** Open a dialog; a press beside it closes it. */
export function openDialog(dialog) {
  if (dialog.open) return;
  dialog.addEventListener("close", bringTold, { once: true });
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  dialog.showModal();
  document.querySelector("#said").replaceChildren(); // A dialog that asks is read as a whole.
  bringTold();
}

/** Ask in a dialog whether something is to be lost; promises the answer. */
export function sureOf(dialog, words) {
  dialog.querySelector("#sure-words").textContent = words;
  dialog.returnValue = "";
  openDialog(dialog);
  return new Promise((answered) => {
    dialog.addEventListener("close", () => answered(dialog.returnValue === "yes"), { once: true });
  });
}

/** Open the settings, filled in; `set({name: value})` hears of every change at once, `stored` promises whether the
 * page works offline. */
export function settingsDialog(dialog, settings, { set, engine, computer, stored }) {
  const form = dialog.querySelector("form");
  const { language } = form.elements;
  language.replaceChildren(
    new Option(say("languageAuto"), "auto"),
    ...Object.entries(LANGUAGES).map(([tag, words]) => new Option(words.languageName, tag)),
  );
  // Some are chosen elsewhere.
  for (const [name, value] of Object.entries(settings)) if (name in form.elements) form.elements[name].value = value;
  dialog.querySelector("#place-choice").hidden = !computer;
  const sentence = (key, values) => put(document.createElement("span"), key, values);
  dialog.querySelector("#engine-now").replaceChildren(
    engine?.threads ? sentence("engineWords", { engine: engine.engine, threads: engine.threads }) : "", " ",
    engine?.refused ? sentence("engineRefused", { words: engine.refused }) : "",
  );
  const offline = dialog.querySelector("#offline-now");
  offline.textContent = "";
  stored.then((all) => {
    offline.textContent = say(all ? "offlineReady" : "offlineNot");
  });
  form.onchange = ({ target }) => {
    set({ [target.name]: target.value });
    if (target.name === "language") language.options[0].textContent = say("languageAuto");
  };
  // On a radio, Enter would press the form's button, which closes the dialog.
  form.onkeydown = (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  };
  openDialog(dialog);
}

/** The sample on the start page, wiped by its slider; returns what says where the line is, in the language of now. */
export function wipeDemo(figure, slider) {
  const tell = () => slider.setAttribute("aria-valuetext", say("wipeValue", { share: Math.round(slider.value) }));
  const wipe = () => {
    figure.style.setProperty("--at", `${slider.value}%`);
    tell();
  };
  slider.addEventListener("input", wipe);
  wipe();
  return tell;
}
