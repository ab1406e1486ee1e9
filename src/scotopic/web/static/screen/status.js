// A picture's facts and failures in the user's words.

import { known, number, say } from "./i18n.js";

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

/** What went wrong, why, and what to do, over the stage; nothing for a picture that is well. */
export function showFailure(notice, picture, { computer }) {
  notice.hidden = picture.state !== "failed";
  if (notice.hidden) return;
  const { code, words } = picture.failure;
  const facts = { kind: "JPEG", ...picture.failure.facts };
  // What makers of browsers call so, users may not.
  if (facts.what === "workers") facts.what = say("lackingWorkers");
  const title = `failed${code[0].toUpperCase()}${code.slice(1)}Title`;
  const key = known(title) ? title : "failedInternalTitle";
  const part = (name) => notice.querySelector(`#notice-${name}`);
  part("title").textContent = say(key, facts);
  part("words").textContent = say(key.replace(/Title$/, "Words"), facts);
  part("detail").textContent = words && !SAID_WHOLLY.includes(code) ? `${picture.name}: ${words}` : picture.name;
  part("retry").hidden = !RETRY.includes(code);
  part("computer").hidden = !(computer && FOR_THE_COMPUTER.includes(code));
}
