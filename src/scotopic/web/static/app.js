// The page: brings together who works (places.js, workers.js: device.js, computer.js), what is waiting (queue.js), what
// is seen (view.js, render.js) and what the user sets (controls.js, dialogs.js).

import { keepAwake } from "./screen/awake.js";
import { newWork, START } from "./choices.js";
import { Computer, findComputer } from "./computer.js";
import { Controls } from "./screen/controls.js";
import { Device } from "./device.js";
import { settingsDialog, openDialog, sureOf, wipeDemo } from "./screen/dialogs.js";
import { keeping } from "./screen/focus.js";
import { Hands } from "./screen/hands.js";
import { choose, fill, number, say } from "./screen/i18n.js";
import { listen, takeShared } from "./screen/incoming.js";
import { begun, isolateOnce, register, stored } from "./offline.js";
import { canShare } from "./screen/outgoing.js";
import { Places } from "./places.js";
import { Queue } from "./screen/queue.js";
import { Renders } from "./screen/render.js";
import { Saving } from "./screen/saving.js";
import { applyTheme, keep, load } from "./screen/settings.js";
import { Speech } from "./screen/speech.js";
import { cameraLine, pictureLabel, planLine, showFailure, takenLine, titleOf } from "./screen/status.js";
import { Strip, thumbOf } from "./screen/strip.js";
import { Toast } from "./screen/toast.js";
import { canvasOf, View } from "./screen/view.js";

const $ = (id) => document.getElementById(id);

const touched = begun();
const settings = load();
let engineNow = null; // What the worker said it runs on.
const SLOW_MS = 700; // What takes longer than this to be drawn is said to be under way.
let slow = null;

// Files may come before it is known who is to work on them, as from the system's "Open with": begin asks again.
const queue = new Queue({ ask, changed, chosen, work: () => ({ passes: Number(settings.passes), fringes: settings.fringes }) });
const view = new View(
  { stage: $("stage"), canvas: $("canvas"), edge: $("edge"), tagLeft: $("tag-left"), tagRight: $("tag-right"), zoomNow: $("zoom-now") },
  { changed: () => renders?.wish(), scaled: (scale) => speech.zoomed(scale), wiped: tellWipe },
);
const hands = new Hands(view);
const renders = new Renders(view, ask, { laid, turned });
const strip = new Strip($("strip"), $("strip-list"), queue, { sure, refuge });
const speech = new Speech($("said"), queue);
const toast = new Toast($("toast"), () => (document.querySelector("dialog[open] button") ?? refuge()).focus());
const keepFocus = keeping(refuge);
const controls = new Controls($("controls"), (chosenNow, moving) => {
  const picture = queue.selected;
  if (!picture) return;
  const work = newWork(chosenNow, picture.settings);
  picture.settings = chosenNow;
  if (!Object.keys(work).length) renders.wish({ moving });
  else {
    set(Object.fromEntries(Object.entries(work).map(([name, value]) => [name, String(value)])));
    if (saving.busy(picture)) saving.cancel(picture);
    queue.rework(work);
  }
});

// ---- who works

const places = new Places({
  queue,
  controls,
  settings,
  starts: {
    device: (heard) => new Device({ engine: settings.engine, heard }),
    computer: (heard) => new Computer({ heard, quality }),
  },
  heard,
});

function ask(message) {
  if (message.type === "close") saving.stopped(message.id);
  places.ask(message);
}

/** Every message of the worker. */
function heard(message, place) {
  const picture = queue.find(message.id);
  switch (message.type) {
    case "ready":
      if (place === "device") engineNow = message;
      return;
    case "rendered":
      renders.rendered(message);
      if (picture && message.wb && message.which === "enhanced") {
        picture.balance = message.wb;
        if (picture === queue.selected) controls.showBalance(message.wb);
      }
      return;
    case "saved":
      saving.saved(message);
      break;
    case "cancelled":
      if (message.during === "save") saving.stopped(message.id);
      break;
    case "failed":
      if (message.serial !== undefined) {
        notDrawn(message, picture);
        return;
      }
      // Of a picture that is lost altogether nothing can be written either.
      saving.failed(message);
      break;
  }
  if (!picture) return;
  queue.heard(message);
  if (message.type === "opened" && picture === queue.selected) showOpened(picture);
  if (message.type === "rested" && queue.resting(picture)) tell("resting", { name: picture.name });
  if (message.type === "preview") {
    if (picture === queue.selected) showPreview(picture);
    else takeThumb(picture, canvasOf(message.image));
  }
  if (message.type === "enhanced" && picture === queue.selected) renders.wish();
}

// ---- one picture on the screen

function chosen(picture) {
  if (view.shown) view.shown.place = view.place;
  view.shown = null;
  $("start").hidden = Boolean(picture);
  $("work").hidden = !picture;
  $("add").hidden = !picture;
  document.body.classList.toggle("working", Boolean(picture));
  view.clear();
  renders.take(null);
  strip.refresh();
  showWork();
  places.show();
  keepFocus();
  speech.shows(picture, saving.busy() || $("strip").contains(document.activeElement));
  if (!picture) return;
  if (document.activeElement === document.body) $("main").focus({ preventScroll: true });
  controls.put(picture.settings);
  if (picture.info) showOpened(picture);
  changed(picture);
}

function showOpened(picture) {
  const { width, height } = picture.info;
  view.show(width, height, picture.place);
  view.shown = picture;
  if (picture.info.wb) controls.showBalance(picture.info.wb);
  if (picture.preview) showPreview(picture);
  renders.take(picture);
}

function showPreview(picture) {
  if (!picture.info || picture.enhanced) return;
  const canvas = view.lay("enhanced", "base", picture.preview, { x: 0, y: 0, width: view.width, height: view.height });
  takeThumb(picture, canvas);
  renders.wish();
}

/** One view of the picture could not be drawn: it stays as it was, and that is said. */
function notDrawn(message, picture) {
  renders.failed(message);
  if (!picture || picture !== queue.selected || picture.state !== "done") return;
  if (message.code === "network") tell("failedNetworkTitle");
  else tell("drawFailed", { words: message.words });
}

function laid(which, role, canvas) {
  const picture = queue.selected;
  if (which === "enhanced" && role === "base") takeThumb(picture, canvas);
}

function takeThumb(picture, canvas) {
  picture.thumb = thumbOf(canvas);
  picture.thumbSerial = (picture.thumbSerial ?? 0) + 1;
  strip.update(picture);
}

/** Tell the tests and style sheets when the screen shows what was asked for. */
function turned() {
  $("stage").dataset.settled = String(renders.settled && Boolean(queue.selected?.enhanced));
  if (renders.settled) {
    clearTimeout(slow);
    slow = null;
    $("stage").classList.remove("slow");
  } else slow ??= setTimeout(() => $("stage").classList.add("slow"), SLOW_MS);
}

/** Whether and how far anything is under way, for the system and in the title. */
function showWork() {
  const under = queue.active ?? queue.pictures.find((picture) => saving.busy(picture));
  keepAwake(Boolean(under));
  document.title = titleOf(queue, under);
}

/** Bring everything in line with a picture's state. */
function changed(picture) {
  strip.update(picture);
  showWork();
  if (picture.state !== picture.told) announce(picture);
  picture.told = picture.state;
  if (picture !== queue.selected) return;
  keepFocus();
  places.show();
  $("stage").dataset.state = $("panel").dataset.state = picture.state;
  turned();
  $("canvas").setAttribute("aria-label", pictureLabel(picture, queue.resting(picture)));
  $("close").setAttribute("aria-label", say("remove", { name: picture.name }));
  $("close").title = say("remove", { name: picture.name });
  $("picture-name").textContent = $("picture-name").title = picture.name;
  $("picture-camera").textContent = cameraLine(picture.info);
  $("picture-taken").textContent = takenLine(picture.info);
  $("picture-plan").textContent = planLine(picture);
  $("tag-right").textContent = say(picture.enhanced ? "enhanced" : "preview");

  const resting = picture.state === "cancelled";
  const writing = picture.state === "done" && saving.busy(picture);
  $("busy").hidden = !(picture.working || picture.state === "waiting" || resting || writing);
  $("busy").classList.toggle("resting", resting);
  const stage = picture.cancelling ? "cancelling" : `stage${picture.stage[0].toUpperCase()}${picture.stage.slice(1)}`;
  const megabytes = picture.megabytes ? number(picture.megabytes) : "";
  $("busy-words").textContent = resting ? say("cancelledTitle") : say(stage, { mb: megabytes });
  const measured = (picture.working || writing) && picture.share > 0;
  $("busy-share").textContent = measured ? number(picture.share, 0, { style: "percent" }) : "";
  $("busy-bar").hidden = resting;
  if (measured) $("busy-bar").value = picture.share;
  else $("busy-bar").removeAttribute("value");
  $("cancel").textContent = say(resting ? "again" : "cancel");
  $("cancel").hidden = picture.state === "waiting";
  $("cancel").setAttribute("aria-disabled", String(Boolean(picture.cancelling))); // It keeps the focus.

  showFailure($("notice"), picture, { computer: Boolean(places.computer) && places.of(picture) === "device" });
  const usable = picture.state === "done" && picture.resident;
  controls.enable(picture.drawable);
  for (const id of ["save", "share", "save-dng"]) $(id).disabled = !usable;
  $("share").hidden = !canShare();
  $("save-dng").hidden = !picture.info?.dng;
  $("save-all").hidden = queue.pictures.length < 2;
  $("lens").hidden = !(picture.fringed = picture.info?.lateral ?? picture.fringed);
}

/** Say a change of state, to those who do not see it above all. */
function announce(picture) {
  speech.became(picture);
  if (picture !== queue.selected) return;
  if (picture.state === "failed") toast.hush(); // What was said before no longer holds.
  if (picture.state === "done" && picture.told) toast.show("doneIn", { seconds: number(picture.seconds ?? 0, 1) });
}

/** Tell in passing. */
function tell(key, values) {
  toast.show(key, values);
  speech.told(key, values);
}

function tellWipe(at) {
  $("edge").setAttribute("aria-valuetext", say("wipeValue", { share: Math.round(at * 100) }));
}

/** Where the keyboard goes on when what it was on is gone. */
function refuge() {
  if (!queue.selected) return $("pick");
  const way = queue.selected.state === "failed" && $("notice").querySelector("button:not([hidden])");
  return way || $("canvas");
}

/** Whether a picture may be removed: what is done and in no file is asked for. */
async function sure(picture) {
  if (!picture.unsaved || picture.state !== "done") return true;
  return sureOf($("sure"), say("removeUnsaved", { name: picture.name }));
}

// ---- out

const quality = () => Number(settings.quality);
const saving = new Saving({ queue, tell, quality, ask, place: (picture) => places.of(picture) });

function stop(picture) {
  if (saving.busy(picture)) saving.cancel(picture);
  else queue.cancel(picture);
}

// ---- hands

const pick = () => $("file").click();
for (const id of ["pick", "add", "notice-pick"]) $(id).addEventListener("click", pick);
$("save").addEventListener("click", () => saving.save(queue.selected, "jpg"));
$("save-dng").addEventListener("click", () => saving.save(queue.selected, "dng"));
$("share").addEventListener("click", () => saving.share(queue.selected));
$("save-all").addEventListener("click", async () => {
  const busy = (on) => $("save-all").setAttribute("aria-disabled", String(on)); // It keeps the focus.
  if ($("save-all").getAttribute("aria-disabled") === "true") return;
  busy(true);
  await saving.saveAll().finally(() => busy(false));
});
$("close").addEventListener("click", async () => {
  const picture = queue.selected;
  if (!(await sure(picture))) return;
  queue.remove(picture);
  strip.refresh();
  (queue.selected ? $("close") : $("pick")).focus({ preventScroll: true });
});
$("cancel").addEventListener("click", (event) => {
  if (event.detail > 1) return; // The second press of a double click was meant for what the button said before.
  const picture = queue.selected;
  if (picture.cancelling) return;
  if (picture.state === "cancelled") queue.restart(picture);
  else stop(picture);
});
$("notice-retry").addEventListener("click", () => queue.restart(queue.selected));
$("notice-computer").addEventListener("click", () => {
  // This one alone: the settings, and with them all others, stay as they are.
  queue.selected.sentTo = "computer";
  queue.selected.settings.wb = places.balanceOf(queue.selected);
  queue.renew([queue.selected]);
});
$("zoom").addEventListener("click", (event) => {
  const way = event.target.closest("button")?.dataset.zoom;
  if (way === "in") view.zoomBy(1.5);
  if (way === "out") view.zoomBy(1 / 1.5);
  if (way === "fit") view.showAll();
  if (way === "full") view.zoomTo(1);
});

document.addEventListener("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (command && key === "o") {
    event.preventDefault();
    pick();
  } else if (command && key === "s" && queue.selected) {
    event.preventDefault();
    if (!$("save").disabled) saving.save(queue.selected, "jpg");
  }
  const { target } = event;
  const typing = target.matches?.("select, textarea, input:not([type=range]):not([type=radio])");
  if (command || event.altKey || typing || document.querySelector("dialog[open]") || !queue.selected) return;
  // Who speaks to the computer, or strikes keys unawares, may have single characters work on the picture alone.
  if (settings.keys === "off" && event.key.length === 1 && target !== $("canvas")) return;
  if (hands.zoomKey(event.key)) event.preventDefault();
  else if (key === "b") view.hold(true);
  else if (key === "n") queue.step(1);
  else if (key === "p") queue.step(-1);
  else if (event.key === "Escape") stop(queue.selected);
});
document.addEventListener("keyup", (event) => event.key.toLowerCase() === "b" && view.hold(false));
window.addEventListener("blur", () => view.hold(false));

/** Whether work and settings would be lost, or files half written. */
const atStake = () => queue.active || saving.busy() || queue.pictures.some((picture) => picture.unsaved);
let given = false; // The user was asked already, and gave it up.
window.addEventListener("beforeunload", (event) => {
  if (atStake() && !given) event.preventDefault();
});

// ---- settings, language, start

/** Take changed settings: keep them, and bring the page in line. */
function set(changes) {
  const before = { ...settings };
  Object.assign(settings, changes);
  keep(settings);
  applyTheme(settings.theme);
  view.draw();
  if (settings.language !== before.language) speak();
  if (settings.place !== before.place) places.change();
  if (settings.engine !== before.engine) places.changeEngine();
}

function offerUpdate(key, use) {
  $("update-words").dataset.say = key;
  $("update-words").textContent = say(key);
  $("update").hidden = false;
  $("update-now").onclick = use;
}

let tellDemo = null;

function speak() {
  choose(settings.language);
  fill();
  controls.words();
  places.show();
  tellWipe(view.wipe);
  tellDemo?.();
  toast.fill();
  for (const picture of queue.pictures) changed(picture);
}

applyTheme(settings.theme);
speak();
controls.put(START);
tellDemo = wipeDemo($("demo"), $("demo-wipe"));
$("help-open").addEventListener("click", () => openDialog($("help")));
window.addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault(); // The browser's own bar comes at a bad moment; the settings offer it instead.
  $("install").hidden = false;
  $("install").onclick = async () => {
    $("install").hidden = true;
    await event.prompt();
  };
});
$("settings-open").addEventListener("click", () => {
  settingsDialog($("settings"), settings, { set, engine: engineNow, computer: places.computer, stored: stored() });
});
const took = (files) => queue.add(files);
listen({ input: $("file"), drop: $("drop"), took, empty: () => tell("noPhotos") });
for (const button of document.querySelectorAll("[data-comes]")) button.disabled = false; // From here on they work.
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.draw());

places.begin(await findComputer());
const hear = (what) => () => tell(what);
await takeShared({ took, empty: hear("sharedNothing"), lost: hear("sharedLost"), unread: hear("sharedUnread") });
const open = () => queue.pictures.length > 0;
register({
  free: () => !touched() && !open() && !document.querySelector("dialog[open]"),
  // Asked here: once the new version has been sent for, there is no way back.
  sure: () => !atStake() || (given = confirm(say("updateUnsaved"))),
  updated: (use) => offerUpdate("updateReady", use),
  left: (use) => offerUpdate("updateElsewhere", use),
}).then(() => isolateOnce(touched() || open()));
document.documentElement.dataset.ready = "true";
