// A picture's facts, state and failures in the user's words.

import { known, number, put, say } from "./i18n.js";

const capital = (words) => words[0].toUpperCase() + words.slice(1);

/** A picture's state as the strip shows it; `resting` where it waits until it is chosen. */
export const stateOf = (picture, resting) => (picture.working ? "working" : resting ? "resting" : picture.state);

export const stateWords = (picture, resting) => say(`state${capital(stateOf(picture, resting))}`);

/** What the picture on the screen is called: what is seen of it, and how far it is. */
export function pictureLabel(picture, resting) {
  const { name } = picture;
  if (picture.state === "done" && picture.enhanced) return say("canvasLabel", { name });
  return say(picture.preview ? "canvasPreview" : "thumb", { name, state: stateWords(picture, resting) });
}

/** The document's title: what is under way, or else what became of the picture on the screen. */
export function titleOf({ selected, pictures }, under) {
  const parts = [];
  if (under) {
    if (pictures.length > 1) parts.push(say("titleCount", { at: pictures.indexOf(under) + 1, all: pictures.length }));
    if (under.share) parts.push(number(under.share, 0, { style: "percent" }));
    if (!parts.length) parts.push(under.name);
  } else if (selected) parts.push(capital(stateWords(selected, false)), selected.name);
  return [...parts, "scotopic"].join(" · ");
}

/** The camera, without saying the make twice, and its megapixels. */
export function cameraLine(info) {
  if (!info) return "";
  const make = info.make ?? "";
  const model = info.model ?? "";
  // Models begin with the maker's name, not with all that its company is called: NIKON CORPORATION, NIKON D850.
  const [maker] = make.trim().toLowerCase().split(/\s+/);
  const camera = model.toLowerCase().startsWith(maker) ? model : `${make} ${model}`.trim();
  const size = info.megapixels > 0
    ? say("megapixels", { count: number(info.megapixels, info.megapixels < 10 ? 1 : 0) })
    : "";
  return [camera, size].filter(Boolean).join(" · ");
}

/** 1/640, 0.8, 30: a shutter time as cameras show it. */
export function shutter(seconds) {
  if (seconds >= 0.3) return number(seconds, seconds < 10 && seconds % 1 ? 1 : 0);
  return `1/${Math.round(1 / seconds)}`;
}

/** ISO 3200 · 1/640 s · f/1.8 · 35 mm, of what is known. */
export function takenLine(info) {
  if (!info) return "";
  const parts = [];
  if (info.iso > 0) parts.push(say("iso", { iso: info.iso }));
  if (info.exposure_s > 0) parts.push(say("seconds", { seconds: shutter(info.exposure_s) }));
  if (info.f_number > 0) parts.push(`f/${number(info.f_number, info.f_number % 1 ? 1 : 0)}`);
  if (info.focal_mm > 0) parts.push(`${number(info.focal_mm)} mm`);
  return parts.join(" · ");
}

/** By how much it was brightened, and whether that is nearly all that happens to it, or there was nothing to brighten, or too much. */
export function planLine({ info }) {
  if (!(info?.ratio > 0)) return "";
  const { ratio } = info;
  const stops = number(Math.log2(ratio), 1, { signDisplay: "exceptZero" });
  const brightened = say("amplified", { ratio: number(ratio, ratio < 10 ? 1 : 0), ev: stops });
  const told = ["kept", "pale", "dark"].find((key) => info[key]);
  const words = told ? say(told) : "";
  return words ? `${brightened}. ${words}` : brightened;
}

const RETRY = ["memory", "engine", "internal", "network", "busy", "download", "foreign", "unreadable"];
const FOR_THE_COMPUTER = [
  "too-large", "not-here", "memory", "engine", "download", "foreign", "lacking", "forbidden",
];

/** Of these the page's own sentences say all; the computer's would tell of options that there are not here. */
const SAID_WHOLLY = ["enhanced"];

/** Whether another engine, or the computer, may well do what failed so. */
export const hopeful = (code) => RETRY.includes(code) || FOR_THE_COMPUTER.includes(code);

/** What went wrong, and what to do. */
export function failureWords({ code, facts }) {
  const told = { kind: "JPEG", ...facts };
  // What makers of browsers call so, users may not.
  if (told.what === "workers") told.what = say("lackingWorkers");
  const title = `failed${capital(code)}Title`;
  const key = known(title) ? title : "failedInternalTitle";
  return { title: say(key, told), words: say(key.replace(/Title$/, "Words"), told) };
}

/** What went wrong, why, and what to do, over the stage; nothing for a picture that is well. */
export function showFailure(notice, picture, { computer }) {
  notice.hidden = picture.state !== "failed";
  if (notice.hidden) return;
  const { code, words } = picture.failure;
  const told = failureWords(picture.failure);
  const part = (name) => notice.querySelector(`#notice-${name}`);
  part("title").textContent = told.title;
  part("words").textContent = told.words;
  if (words && !SAID_WHOLLY.includes(code)) put(part("detail"), "detail", { name: picture.name, words });
  else part("detail").textContent = picture.name;
  part("retry").hidden = !RETRY.includes(code);
  part("computer").hidden = !(computer && FOR_THE_COMPUTER.includes(code));
}
