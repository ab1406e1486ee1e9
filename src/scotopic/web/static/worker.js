// The page's worker: pictures in, light kept, views and files out. It draws while the network works beside it.

import { described, gainsFor } from "./balance.js";
import { START, workOf } from "./choices.js";
import { developed, developer, uprightSize } from "./develop.js";
import { enhance, modelFor, plan, preview } from "./enhance.js";
import { checkBrowser, Engine, hasGraphics, trial } from "./engines.js";
import { ScotopicError } from "./errors.js";
import { bytesOf } from "./file.js";
import { fileOf } from "./files.js";
import { librawModule } from "./libraw.js";
import { parsed, part } from "./parts.js";
import { read } from "./read.js";
import { release } from "./release.js";
import { blended, levels, sampled } from "./sample.js";

/** Mosaic pixels in the quick picture of the whole. */
const PREVIEW_PIXELS = 400_000;

/** Mosaic pixels in a tile with its halo: the network takes about 100 bytes for each while it works. */
const TILE_PIXELS = 1_200_000;
const SMALL_TILE_PIXELS = 400_000;

/** Megapixels that a device bears, by the memory that browsers tell of (at most 8 GB) or by its kind. */
const MEGAPIXELS = { 8: 64, 4: 32, 2: 20, less: 12, unknown: 64, pocket: 26 };

/** A download that takes longer is told of. */
const FETCH_TOLD_MS = 300;

const pictures = new Map();
let base = null;
let kind = "wasm";
let page = null;
let engine = null;
let equipping = null; // What is under way so that there is all that work needs.
let fetching = null; // The picture that waits for the network's download, once that is told.
let turn = Promise.resolve();

class Cancelled extends Error {}

const post = (message, transfer = []) => self.postMessage(message, transfer);

// ---- the engine

async function configure(message) {
  base = message.base;
  const wanted = message.engine ?? "auto";
  // Phones of this maker end pages that take many threads' memory.
  const single = wanted === "wasm-single" || (wanted === "auto" && onIos());
  kind = single ? "wasm-single" : "wasm";
  const begin = async () => {
    await equip();
    const name = defaultModel();
    const tried = wanted === "webgpu" ? await graphics(name, { auto: false }) : null;
    post({ type: "ready", engine: engine.kind, threads: engine.threads, refused: tried?.refused });
    // What every picture needs comes at once, while the host is there; where that fails a picture says so.
    for (const coming of [librawModule(), engine.open(name)]) coming.catch(() => {});
    if (wanted === "auto" && !single) beside(name);
  };
  // Where that fails every later picture tries again, and says why it does not go.
  await equipped(begin).catch(() => {});
}

/** Sees that there is what all work needs; who asks while that is under way waits for it. Throws what is against it. */
function equipped(how = equip) {
  equipping ??= how().finally(() => (equipping = null));
  return equipping;
}

async function equip() {
  checkBrowser();
  page ??= { base, constants: await part(base, "constants.json", parsed) };
  if (!engine || engine.stopped) engine = await started(kind);
}

const started = (of) => Engine.start(page.base, of, { bytes: page.constants.bytes, fetched });

/** How far the download of the network is, for the picture that waits for it. */
function fetched({ loaded, total }) {
  if (!fetching || loaded >= total) return;
  post({ type: "progress", id: fetching.id, share: loaded / total, stage: "fetch", megabytes: total / 1e6 });
}

/** Waits for what a picture needs; ends at once where the picture is cancelled, and what it needs goes on coming. */
async function waited(picture, needed) {
  const cancelled = new Promise((_, stop) => {
    picture.halt = () => stop(new Cancelled());
  });
  try {
    return await Promise.race([needed, cancelled]);
  } finally {
    picture.halt = null;
  }
}

/** Waits for a picture's network. */
async function networkFor(picture) {
  goOn(picture);
  const late = setTimeout(() => {
    fetching = picture;
    fetched(engine.download);
  }, FETCH_TOLD_MS);
  try {
    await waited(picture, engine.open(modelFor(picture.made.mosaic, page.constants)));
  } finally {
    clearTimeout(late);
    fetching = null;
  }
  post({ type: "progress", id: picture.id, share: 0, stage: "network" });
}

/** Tries a graphics processor without being asked, beside the work, which does not wait for it. */
async function beside(name) {
  const { refused } = await graphics(name, { auto: true });
  if (!refused) post({ type: "ready", engine: engine.kind, threads: engine.threads });
}

/** Puts the graphics processor in the engine's place where it gives the same; {refused} says why not. */
async function graphics(name, { auto }) {
  if (!(await hasGraphics(!auto))) return { refused: "there is no graphics processor that a page may use" };
  const trusted = engine;
  const found = await trial(page.base, trusted, name, { auto });
  if (!found.engine) return found;
  engine = found.engine;
  // What is under way on the processor goes on there.
  turn = turn.finally(() => trusted.stop());
  return {};
}

/** The engine anew on the processor, after one that failed. */
async function fallBack() {
  engine.stop();
  await equipped();
  post({ type: "ready", engine: engine.kind, threads: engine.threads });
}

const defaultModel = () => page.constants.models.bayer.fast;

function onIos() {
  return /iPhone|iPad|iPod/.test(self.navigator?.userAgent ?? "");
}

function megapixelsMax() {
  const memory = self.navigator?.deviceMemory;
  if (memory === undefined) return onIos() ? MEGAPIXELS.pocket : MEGAPIXELS.unknown;
  return MEGAPIXELS[[8, 4, 2].find((most) => memory >= most) ?? "less"];
}

// ---- a picture's way

async function open({ id }) {
  const picture = pictureOf(id);
  goOn(picture);
  post({ type: "progress", id, share: 0, stage: "read" });
  await waited(picture, equipped());
  await decode(picture);
  post({ type: "opened", id, info: infoOf(picture) });
  // From here on the picture is open: where the quick view of it fails, the work fails likewise and says why.
  await quickly(picture).catch((error) => {
    if (error instanceof Cancelled) throw error;
  });
}

/** The quick picture of the whole. */
async function quickly(picture) {
  const { id } = picture;
  const light = await withEngine(picture, (pixels) =>
    preview(picture.captured, picture.made, engine, {
      constants: page.constants,
      most: Math.min(PREVIEW_PIXELS, pixels),
      go: () => goOn(picture),
    }),
  );
  if (!light || picture.light) return;
  Object.assign(picture, { light, stack: [light], like: light });
  const [width, height] = uprightSize(light);
  // The preview's own size is the picture's, drawn small: its views are told in the picture's pixels.
  picture.like = { ...light, ...sizeOf(picture), pixelAspect: picture.captured.pixelAspect ?? 1 };
  const image = drawn(picture, "enhanced", {}, null, width, height).image;
  post({ type: "preview", id, image }, [image.data.buffer]);
}

/** The file's counts, and what is to be done with them. */
async function decode(picture) {
  const bytes = await bytesOf(picture.file);
  goOn(picture);
  // It would wait for it itself, but hear of no cancel then.
  await waited(picture, librawModule());
  const captured = await read(bytes, { name: picture.file.name, megapixelsMax: megapixelsMax() });
  if (captured.exif?.enhanced)
    throw new ScotopicError("enhanced", "a second time would take texture for noise");
  goOn(picture);
  const made = plan(captured, page.constants);
  Object.assign(picture, { captured, made, size: [captured.height, captured.width] });
}

const sizeOf = ({ size: [height, width] }) => ({ height, width });

async function work({ id, settings }) {
  const picture = pictureOf(id);
  goOn(picture);
  if (picture.full) {
    post({ type: "enhanced", id, engine: engine.kind, seconds: 0 });
    return;
  }
  const start = performance.now();
  await waited(picture, equipped());
  const { made } = picture;
  const light = await withEngine(picture, (pixels) =>
    enhance(picture.captured, made, engine, {
      constants: page.constants,
      pixels,
      ...workOf(settings),
      go: () => goOn(picture),
      progress: (share) => post({ type: "progress", id, share, stage: "network" }),
    }),
  );
  // Whoever cancelled while the last of it was done is heard now; later it is too late for that.
  await new Promise((heard) => setTimeout(heard));
  goOn(picture);
  release(picture.captured.data, made.mosaic.data);
  picture.captured = null;
  made.mosaic = null;
  Object.assign(picture, { light, like: light, full: true });
  picture.stack = levels(light);
  views.length = 0;
  post({ type: "enhanced", id, engine: engine.kind, seconds: (performance.now() - start) / 1000 });
}

/** Does a piece of work on the engine; once more on the processor, or in smaller tiles, where that failed. */
async function withEngine(picture, piece) {
  try {
    await networkFor(picture);
    return await piece(onIos() ? SMALL_TILE_PIXELS : TILE_PIXELS);
  } catch (error) {
    if (error instanceof Cancelled || !["engine", "memory"].includes(error.code)) throw error;
    if (error.code === "engine" && engine.kind !== "webgpu") throw error;
    await waited(picture, fallBack());
    await networkFor(picture);
    return piece(SMALL_TILE_PIXELS);
  }
}

/** Closes a picture that is not to be worked on yet, once its quick view was shown. */
function rest({ id }) {
  close(id);
  post({ type: "rested", id });
}

async function save({ id, ...wish }) {
  const picture = pictureOf(id);
  if (!picture.full) await work({ id, settings: wish.settings });
  const { blob, name } = await fileOf(picture, wish, {
    constants: page.constants,
    go: () => goOn(picture),
    onRow: (share) => post({ type: "progress", id, share, stage: "encode" }),
  });
  goOn(picture);
  post({ type: "saved", id, blob, name });
}

// ---- what the screen shows

/** Light of the views drawn last: sliders move, the view stays. */
const views = [];
const VIEWS_KEPT = 3;

function render({ id, which, settings, view = null, outWidth, outHeight, serial }) {
  const picture = pictureOf(id);
  if (!picture.light) throw new ScotopicError("internal", "nothing is there to draw yet");
  const { image, gains, wb: chosen } = drawn(picture, which, settings, view, outWidth, outHeight);
  const wb = described(gains, picture.light, chosen);
  post({ type: "rendered", id, which, serial, image, wb }, [image.data.buffer]);
}

/** A view of a picture: {image: {width, height, data}, gains, wb}, of which the last two are the balance drawn. */
function drawn(picture, which, settings, view, outWidth, outHeight) {
  const { light, like } = picture;
  const [wide, high] = uprightSize(like);
  const seen = view ?? { x: 0, y: 0, width: wide, height: high };
  const [width, height] = [Math.max(1, Math.round(outWidth ?? wide)), Math.max(1, Math.round(outHeight ?? high))];
  const { ev, strength, wb } = { ...START, ...settings };
  const traditional = which === "traditional";
  const [look, effect] = traditional ? ["libraw", 0] : ["natural", strength];
  // The traditional one is balanced as the full effect is: the same whatever the strength.
  const gains = gainsFor(wb, light, page.constants, traditional ? START.strength : strength);
  const develop = developer(light, { gains, gain: 2 ** ev, look }, page.constants);
  const sample = (plane) => viewed(picture, plane, seen, width, height);
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  developed(develop, blended(sample, effect), width * height, data, 0, 4);
  return { image: { width, height, data }, gains, wb };
}

/** The light of a view, from among the last ones where it is the same. */
function viewed(picture, plane, view, width, height) {
  const key = JSON.stringify([picture.id, plane, view, width, height]);
  let found = views.find((v) => v.key === key && v.of === picture.light);
  if (!found) {
    found = { key, of: picture.light, light: sampled(picture.stack, picture.like, plane, view, width, height) };
    views.unshift(found);
    views.length = Math.min(views.length, VIEWS_KEPT);
  }
  return found.light;
}

function infoOf(picture) {
  const { captured, made, file } = picture;
  const [width, height] = uprightSize(captured);
  // All that a result is to say of how it was taken; the counts themselves are given up.
  const { data, ...about } = captured;
  picture.about = about;
  return {
    name: file.name,
    dng: true,
    make: captured.make ?? "",
    model: captured.model ?? "",
    iso: captured.iso ?? null,
    exposure_s: captured.exposure_s ?? null,
    f_number: captured.fNumber ?? null,
    focal_mm: captured.focal_mm ?? null,
    lens: captured.lens ?? "",
    width,
    height,
    orientation: captured.orientation ?? 1,
    ratio: made.exposure.ratio,
    ev: Math.log2(made.exposure.ratio),
    ratioSource: made.exposure.source,
    noiseSource: made.noise.profile.source,
    warning: made.noise.warning,
    kept: made.kept,
    dark: made.dark,
    pale: made.pale,
    lateral: Boolean(made.lateral),
    sensor: captured.kind === "linear" ? "linear" : captured.cfa.length > 2 ? "xtrans" : "bayer",
    megapixels: (width * height) / 1e6,
    wb: described(captured.wb, captured, "camera"),
  };
}

// ---- messages

function pictureOf(id) {
  const picture = pictures.get(id);
  if (!picture) throw new ScotopicError("internal", `no picture ${id} is open`);
  return picture;
}

/** Throws where the piece of work that is under way on a picture is no longer wanted. */
function goOn(picture) {
  if (picture.now <= picture.cancelled || pictures.get(picture.id) !== picture) throw new Cancelled();
}

function failed({ type, id, serial }, error) {
  if (error instanceof Cancelled) {
    post({ type: "cancelled", id, during: type });
    return;
  }
  const spent = error instanceof RangeError || /out of memory|allocation failed/i.test(error?.message ?? "");
  const code = error.code && error.facts ? error.code : spent ? "memory" : "internal";
  if (type === "open") pictures.delete(id);
  const words = String(error?.message ?? error);
  post({ type: "failed", id, during: type, code, words, facts: error?.facts ?? {}, serial });
}

/** One after the other, so that two pictures never need memory at once. */
const inTurn = { open, enhance: work, rest, save };

function close(id) {
  const picture = pictures.get(id);
  pictures.delete(id);
  picture?.halt?.();
  for (const { rgb, plain } of picture?.stack ?? []) release(rgb, plain);
  views.length = 0;
}

self.addEventListener("message", ({ data: message }) => {
  const { type, id, file } = message;
  if (type === "open") pictures.set(id, { id, file, asked: 0, now: 0, cancelled: 0, halt: null });
  const picture = pictures.get(id);
  if (type === "configure") configure(message);
  else if (type in inTurn) {
    // Pieces of work are counted: what is cancelled are those asked for before, and none that comes later.
    const number = picture ? ++picture.asked : 0;
    turn = turn
      .then(() => {
        if (picture) picture.now = number;
        return inTurn[type](message);
      })
      .catch((error) => failed(message, error));
  } else if (type === "cancel" && picture) {
    picture.cancelled = picture.asked;
    picture.halt?.();
  } else if (type === "close") close(id);
  else if (type === "render") {
    try {
      render(message);
    } catch (error) {
      failed(message, error);
    }
  }
});

post({ type: "here" });
