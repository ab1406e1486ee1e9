/** EXIF carried along: read from any RAW file, written into the JPEG. Mirrors `scotopic.metadata`. */

import { exifPlaces } from "./metadata/exifplaces.js";
import {
  EXIF_VERSION,
  EXPOSURE_BIAS,
  FLASHPIX,
  FLASHPIX_VERSION,
  ISO,
  OF_JPEG,
  following,
  isoOf,
  ofShot,
  sound,
  turnedTags,
  typed,
  versionFor,
  withIso,
} from "./metadata/exiftags.js";
import { ASCII, LONG, RATIONAL, SHORT, SRATIONAL, decodeText, openTiff } from "./tiff.js";
import { packetOf, parsePacket } from "./metadata/xmp.js";

const EXIF_IFD = 0x8769;
const GPS_IFD = 0x8825;
const [MAKE, MODEL, DATE_TIME, ORIENTATION, SOFTWARE, RATING] = [0x010f, 0x0110, 0x0132, 0x0112, 0x0131, 0x4746];
const [EXPOSURE_TIME, F_NUMBER, FOCAL_LENGTH, LENS_MODEL] = [0x829a, 0x829d, 0x920a, 0xa434];
const [DATE_TIME_ORIGINAL, COLOR_SPACE, PIXEL_X, PIXEL_Y] = [0x9003, 0xa001, 0xa002, 0xa003];
const COPYRIGHT = 0x8298;

/** BodySerialNumber, and a DNG's CameraSerialNumber, which stands in for it. */
const [BODY_SERIAL, CAMERA_SERIAL] = [0xa431, 50735];

/** ImageDescription, Make, Model, DateTime, Artist, Rating, Copyright. */
const MAIN_KEPT = [0x010e, MAKE, MODEL, DATE_TIME, 0x013b, RATING, COPYRIGHT];

/** MakerNote and UserComment, the sizes and the colour space (set anew), what belongs to a JPEG inside the RAW. */
const EXIF_DROPPED = [0x927c, 0x9286, 0x02bc, PIXEL_X, PIXEL_Y, COLOR_SPACE, 0xa005, 0xa500, 0x9101, 0x9102];

/** What TIFF/EP, which DNG follows, has in the main directory too: taken for EXIF's where that is silent. */
const OF_THE_SHOT = [EXPOSURE_TIME, F_NUMBER, 0x8822, ISO, DATE_TIME_ORIGINAL, EXPOSURE_BIAS, 0x9207, FOCAL_LENGTH];

/** Characters of a text carried along, IPTC's limit; and values of any other tag. */
const LONGEST_TEXT = 2000;
const VALUES_MAX = 999;

const SRGB = 1;
const UNCALIBRATED = 0xffff;

/** All that can be carried along: maps of tag number to { type, values } for the main, EXIF and GPS directories.
 *
 * Values are a string for texts, [numerator, denominator] pairs for rationals, bytes for bytes, else numbers.
 * A broken directory gives an empty one: the photo is worth more than its tags. Fractions by zero are as the file has
 * them, until `filledIn`. */
export function readExif(bytes) {
  const found = { main: new Map(), exif: new Map(), gps: new Map(), shot: new Map(), words: {}, enhanced: false };
  for (const name of ciffNames(bytes)) found.main.set(...name);
  try {
    for (const { content, only } of exifPlaces(bytes)) collect(content, only, found);
  } catch {
    // Go on without.
  }
  if (found.serial?.type === ASCII && !found.exif.has(BODY_SERIAL)) found.exif.set(BODY_SERIAL, found.serial);
  const { words, enhanced } = parsePacket(packetOf(bytes));
  const stars = found.main.get(RATING)?.values;
  if (stars && !(stars.length === 1 && stars[0] >= 0 && stars[0] <= 5)) found.main.delete(RATING);
  const { shot, ...rest } = found;
  const own = ofShot(found.exif, shot);
  const exif = withIso(own, isoOf(own));
  return summary({ ...rest, main: following(found.main, words, LONGEST_TEXT), exif, words, enhanced });
}

/** `only` names the directory where the content is a single one. */
function collect(content, only, found) {
  const tiff = openTiff(content, true);
  const first = tiff?.pages[0];
  if (!first) return;
  const directories = only
    ? [[only, first]]
    : [
        ["main", first],
        ["exif", first.directory(EXIF_IFD)],
        ["gps", first.directory(GPS_IFD)],
      ];
  for (const [name, page] of directories) {
    for (const code of page?.tags.keys() ?? []) {
      if (name === "main" && code === CAMERA_SERIAL) found.serial = valueOf(page, code);
      const ofShot = name === "main" && OF_THE_SHOT.includes(code);
      if (name === "main" && !ofShot && !MAIN_KEPT.includes(code)) continue;
      if (name === "exif" && EXIF_DROPPED.includes(code)) continue;
      const value = valueOf(page, code);
      const written = value && typed(code, value);
      if (written) found[ofShot ? "shot" : name].set(code, written);
    }
  }
}

function valueOf(page, code) {
  const { type, count } = page.tags.get(code);
  if (type === ASCII) {
    // Letters take four bytes at most; what follows may be the whole file.
    const bytes = page.bytes(code).subarray(0, 8 * LONGEST_TEXT);
    const [text, rest] = untilZero(bytes);
    // The photographer's copyright, a zero, and the editor's; a photographer's that is missing is a space.
    const editor = code === COPYRIGHT ? untilZero(rest)[0] : "";
    const whole = editor ? `${text || " "}\0${editor}` : text;
    return whole ? { type, values: whole } : null;
  }
  if (count > VALUES_MAX) return null;
  return page.value(code);
}

/** The text before the first zero, at most LONGEST_TEXT characters, and the bytes behind it. */
function untilZero(bytes) {
  const end = bytes.indexOf(0);
  const own = (end < 0 ? bytes : bytes.subarray(0, end)).subarray(0, 4 * LONGEST_TEXT);
  const text = decodeText(own).replace(/[\0 ]+$/, "");
  const rest = bytes.subarray(end < 0 ? bytes.length : end + 1);
  return [[...text].slice(0, LONGEST_TEXT).join(""), rest];
}

/** Maker and model from Canon's CIFF files (CRW), which hold no EXIF: two strings side by side. */
function ciffNames(bytes) {
  if (String.fromCharCode(...bytes.subarray(6, 14)) !== "HEAPCCDR") return [];
  const text = (values) => ({ type: ASCII, values });
  const start = "Canon\0Canon ";
  for (let at = bytes.indexOf(67); at >= 0; at = bytes.indexOf(67, at + 1)) {
    if (String.fromCharCode(...bytes.subarray(at, at + start.length)) !== start) continue;
    const match = /^Canon\0(Canon [ -~]{2,30})\0/.exec(String.fromCharCode(...bytes.subarray(at, at + 64)));
    if (match)
      return [
        [MAKE, text("Canon")],
        [MODEL, text(match[1])],
      ];
  }
  return [];
}

/** The directories with what a page shows of them. */
function summary(found) {
  const one = (map, code) => {
    const value = map.get(code)?.values;
    if (typeof value === "string") return value;
    if (value?.length !== 1) return null;
    const ratio = Array.isArray(value[0]) ? value[0][0] / value[0][1] : value[0];
    return Number.isFinite(ratio) ? ratio : null;
  };
  return {
    ...found,
    make: String(one(found.main, MAKE) ?? ""),
    model: String(one(found.main, MODEL) ?? ""),
    hasExposure: found.exif.has(EXPOSURE_TIME),
    exposure_s: one(found.exif, EXPOSURE_TIME),
    iso: isoOf(found.exif),
    fNumber: one(found.exif, F_NUMBER) || null,
    focal_mm: one(found.exif, FOCAL_LENGTH) || null,
    lens: one(found.exif, LENS_MODEL) ?? "",
    taken: one(found.exif, DATE_TIME_ORIGINAL) ?? one(found.main, DATE_TIME) ?? "",
  };
}

/** Add what LibRaw knows where the file's own EXIF is silent (CRW and other old kinds), and leave out fractions that are
 * no numbers. */
export function filledIn(exif, { make, model, exposure_s, iso, aperture, focal_mm, lens, timestamp }) {
  const [main, inner] = [new Map(exif.main), new Map(exif.exif)];
  const fill = (target, code, value) => {
    if (value && !target.has(code)) target.set(code, value);
  };
  const text = (values) => (values ? { type: ASCII, values } : null);
  const stamp = timestampText(timestamp);
  fill(main, MAKE, text(make));
  fill(main, MODEL, text(model));
  fill(main, DATE_TIME, text(stamp));
  fill(inner, EXPOSURE_TIME, rational(exposure_s));
  fill(inner, F_NUMBER, rational(aperture));
  fill(inner, FOCAL_LENGTH, rational(focal_mm));
  fill(inner, LENS_MODEL, text(lens));
  fill(inner, DATE_TIME_ORIGINAL, text(stamp));
  const whole = withIso(inner, iso > 0 ? Math.round(iso) : null);
  return summary({ ...exif, main, exif: sound(whole), gps: sound(exif.gps, true) });
}

/** LibRaw's seconds, which count a camera's clock as if it were universal time, as EXIF writes them. */
function timestampText(seconds) {
  if (!seconds) return "";
  const at = new Date(seconds * 1000);
  if (!(at.getUTCFullYear() > 1980)) return "";
  const [date, time] = at.toISOString().split("T");
  return `${date.replaceAll("-", ":")} ${time.slice(0, 8)}`;
}

function rational(value) {
  if (!(value > 0)) return null;
  const under = Math.round(1 / value);
  const pair = value < 1 && Math.abs(under * value - 1) < 0.02 ? [1, under] : [Math.round(value * 1000), 1000];
  return { type: RATIONAL, values: [pair] };
}

/** The same without the place. */
export const withoutGps = (exif) => ({
  ...exif,
  gps: new Map(),
  words: { ...exif.words, city: "", state: "", country: "" },
});

/** The same of the picture turned upright from this EXIF orientation. */
export const uprightExif = (exif, orientation) => ({ ...exif, exif: turnedTags(exif.exif, orientation) });

/** Bytes of EXIF in a result of any format: no photo has as much. */
const EXIF_MOST = 1 << 20;

/** The EXIF and GPS directories ready for a TIFF, which tells its size itself; the second may be empty.
 *
 * `srgb` false for pictures in another colour space: the ICC profile says which. */
export function directoriesOf(exif, srgb = true) {
  const inner = new Map([[FLASHPIX_VERSION, FLASHPIX], ...exif.exif]);
  inner.set(COLOR_SPACE, { type: SHORT, values: [srgb ? SRGB : UNCALIBRATED] });
  inner.set(EXIF_VERSION, versionFor(inner));
  const [fits, gps] = fitting([inner, exif.gps], EXIF_MOST);
  return { inner: fits, gps };
}

/** Bytes of a directory's entry. */
const ENTRY = 12;

/** Bytes of a block besides its tags: its head, three directories' own, two pointers. */
const FRAME = 8 + 3 * 6 + 2 * ENTRY;

/** An EXIF block (a TIFF without pictures) for an upright JPEG of this size: orientation is 1.
 *
 * Of what does not fit into `atMost` bytes the longest values stay out. */
export function exifBlock(exif, width, height, software, srgb, atMost) {
  const directories = directoriesOf(exif, srgb);
  const main = new Map([...exif.main, ...OF_JPEG.main]);
  main.set(ORIENTATION, { type: SHORT, values: [1] });
  main.set(SOFTWARE, { type: ASCII, values: software });
  const inner = new Map([...directories.inner, ...OF_JPEG.exif]);
  inner.set(PIXEL_X, { type: LONG, values: [width] });
  inner.set(PIXEL_Y, { type: LONG, values: [height] });
  return blockOf(...fitting([main, inner, directories.gps], atMost - FRAME));
}

/** The directories without their longest values, so that all take `atMost` bytes; the earlier tags go last.
 *
 * Each value is packed once: a stranger's file may have tens of thousands. */
function fitting(directories, atMost) {
  const size = (bytes) => ENTRY + (bytes.length > 4 ? bytes.length + (bytes.length % 2) : 0);
  const sizes = directories
    .flatMap((tags, place) => [...tags].map(([code, tag]) => [size(encoded(tag).bytes), place, code]))
    .sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  const left = directories.map((tags) => new Map(tags));
  let excess = sizes.reduce((sum, [taken]) => sum + taken, 0) - atMost;
  while (excess > 0 && sizes.length) {
    const [taken, place, code] = sizes.pop();
    left[place].delete(code);
    excess -= taken;
  }
  return left;
}

function blockOf(others, inner, gps) {
  const pointer = (at) => ({ type: LONG, values: [at] });
  const main = new Map(others);
  main.set(EXIF_IFD, pointer(0));
  if (gps.size) main.set(GPS_IFD, pointer(0));
  const head = Uint8Array.from([0x49, 0x49, 42, 0, 8, 0, 0, 0]);
  const innerAt = head.length + directoryBytes(main, head.length).length;
  const innerBytes = directoryBytes(inner, innerAt);
  const gpsAt = innerAt + innerBytes.length;
  main.set(EXIF_IFD, pointer(innerAt));
  if (gps.size) main.set(GPS_IFD, pointer(gpsAt));
  const gpsBytes = gps.size ? directoryBytes(gps, gpsAt) : new Uint8Array(0);
  return joined([head, directoryBytes(main, head.length), innerBytes, gpsBytes]);
}

/** The bytes of several arrays one after the other. */
export function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A little-endian TIFF directory that stands at `at`, with its values behind it; its length is even. */
export function directoryBytes(tags, at, next = 0) {
  const entries = [...tags].map(([code, tag]) => ({ code, ...encoded(tag) })).sort((a, b) => a.code - b.code);
  const end = 2 + ENTRY * entries.length + 4;
  const size = entries.reduce(
    (sum, { bytes }) => sum + (bytes.length > 4 ? bytes.length + (bytes.length % 2) : 0),
    end,
  );
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  view.setUint16(0, entries.length, true);
  let behind = end;
  entries.forEach(({ code, type, count, bytes }, i) => {
    const entry = 2 + ENTRY * i;
    view.setUint16(entry, code, true);
    view.setUint16(entry + 2, type, true);
    view.setUint32(entry + 4, count, true);
    if (bytes.length <= 4) {
      out.set(bytes, entry + 8);
      return;
    }
    view.setUint32(entry + 8, at + behind, true);
    out.set(bytes, behind);
    behind += bytes.length + (bytes.length % 2);
  });
  view.setUint32(end - 4, next, true);
  return out;
}

const WRITERS = {
  3: [2, "setUint16"],
  4: [4, "setUint32"],
  8: [2, "setInt16"],
  9: [4, "setInt32"],
  11: [4, "setFloat32"],
  12: [8, "setFloat64"],
  13: [4, "setUint32"],
};

/** A value as TIFF holds it. */
function encoded({ type, values }) {
  if (type === ASCII) {
    const bytes = new TextEncoder().encode(`${values}\0`);
    return { type, count: bytes.length, bytes };
  }
  if (values instanceof Uint8Array) return { type, count: values.length, bytes: values };
  const isRational = type === RATIONAL || type === SRATIONAL;
  const [size, set] = isRational ? WRITERS[type === RATIONAL ? LONG : 9] : WRITERS[type];
  const flat = values.flat();
  const bytes = new Uint8Array(size * flat.length);
  const view = new DataView(bytes.buffer);
  flat.forEach((v, i) => view[set](i * size, v, true));
  return { type, count: values.length, bytes };
}
