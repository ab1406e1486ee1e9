// The settings, the help, and the wipe of the start page's sample.

import { LANGUAGES, say } from "./i18n.js";

/** Open a dialog; a press beside it closes it. */
export function openDialog(dialog) {
  if (dialog.open) return;
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  dialog.showModal();
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
  dialog.querySelector("#engine-now").textContent = [
    engine?.threads ? say("engineWords", { engine: engine.engine, threads: engine.threads }) : "",
    engine?.refused ? say("engineRefused", { why: engine.refused }) : "",
  ].filter(Boolean).join(" ");
  const offline = dialog.querySelector("#offline-now");
  offline.textContent = "";
  stored.then((all) => {
    offline.textContent = say(all ? "offlineReady" : "offlineNot");
  });
  form.onchange = ({ target }) => {
    set({ [target.name]: target.value });
    if (target.name === "language") language.options[0].textContent = say("languageAuto");
  };
  openDialog(dialog);
}

/** The sample on the start page, wiped by its slider. */
export function wipeDemo(figure, slider) {
  const wipe = () => figure.style.setProperty("--at", `${slider.value}%`);
  slider.addEventListener("input", wipe);
  wipe();
}
