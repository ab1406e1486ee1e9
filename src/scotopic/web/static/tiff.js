/** TIFF's directories, classic and big, of either byte order: what DNG, EXIF and most makers' RAW files are.
 *
 * Nothing here trusts the file: whatever points outside it is left out, and loops end. */

/** Bytes of a value by TIFF's type number. */
const SIZE = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8 };
export const [BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, DOUBLE] = [1, 2, 3, 4, 5, 7, 10, 12];
const SIGNED_BYTE = 6;

/** Directories in a chain, and entries in one; no camera writes as many. */
const PAGES_MAX = 64;
const ENTRIES_MAX = 4096;
const SUB_DIRECTORIES = 330;

/** No pixel has more values. */
const SAMPLES_MAX = 16;

const READERS = {
  1: (v, at) => v.getUint8(at),
  2: (v, at) => v.getUint8(at),
  3: (v, at, e) => v.getUint16(at, e),
  4: (v, at, e) => v.getUint32(at, e),
  5: (v, at, e) => v.getUint32(at, e) / v.getUint32(at + 4, e),
  6: (v, at) => v.getInt8(at),
  7: (v, at) => v.getUint8(at),
  8: (v, at, e) => v.getInt16(at, e),
  9: (v, at, e) => v.getInt32(at, e),
  10: (v, at, e) => v.getInt32(at, e) / v.getInt32(at + 4, e),
  11: (v, at, e) => v.getFloat32(at, e),
  12: (v, at, e) => v.getFloat64(at, e),
  13: (v, at, e) => v.getUint32(at, e),
  16: (v, at, e) => Number(v.getBigUint64(at, e)),
  17: (v, at, e) => Number(v.getBigInt64(at, e)),
  18: (v, at, e) => Number(v.getBigUint64(at, e)),
};

/** One directory: its tags by number. */
export class Page {
  constructor(view, little) {
    this.view = view;
    this.little = little;
    this.tags = new Map();
  }

  has(code) {
    return this.tags.has(code);
  }

  /** A tag's values as numbers, rationals divided; null where it is missing or a text. */
  numbers(code, most = Infinity) {
    const tag = this.tags.get(code);
    if (!tag || tag.type === ASCII) return null;
    const read = READERS[tag.type];
    const values = new Array(Math.min(tag.count, most));
    for (let i = 0; i < values.length; i++) {
      values[i] = read(this.view, tag.at + i * SIZE[tag.type], this.little);
    }
    return values;
  }

  /** A tag's first number, or `otherwise`. */
  number(code, otherwise = null) {
    const values = this.numbers(code, 1);
    return values?.length ? values[0] : otherwise;
  }

  /** Numerators and denominators of a rational tag, in pairs. */
  rationals(code) {
    const tag = this.tags.get(code);
    if (!tag || (tag.type !== RATIONAL && tag.type !== SRATIONAL)) return null;
    const read = READERS[tag.type === RATIONAL ? LONG : 9];
    return Array.from({ length: tag.count }, (_, i) => [
      read(this.view, tag.at + 8 * i, this.little),
      read(this.view, tag.at + 8 * i + 4, this.little),
    ]);
  }

  /** A tag as directories are written: { type, values }, the values a string for texts, [numerator, denominator] pairs
   * for rationals, a copy of the bytes for bytes, else numbers. */
  value(code) {
    const { type } = this.tags.get(code);
    if (type === ASCII) return { type, values: this.text(code) };
    if (type === RATIONAL || type === SRATIONAL) return { type, values: this.rationals(code) };
    if (type === UNDEFINED || type === BYTE || type === SIGNED_BYTE) return { type, values: this.bytes(code).slice() };
    return { type, values: this.numbers(code) };
  }

  /** A tag's content as bytes; empty where it is missing. */
  bytes(code) {
    const tag = this.tags.get(code);
    if (!tag) return new Uint8Array(0);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + tag.at, tag.count * SIZE[tag.type]);
  }

  /** A tag's text without what follows its first zero; empty where there is none. */
  text(code) {
    if (this.tags.get(code)?.type !== ASCII) return "";
    const bytes = this.bytes(code);
    const end = bytes.indexOf(0);
    return decodeText(end < 0 ? bytes : bytes.subarray(0, end)).trim();
  }

  /** The directory to which a tag points (EXIF, GPS); null where there is none. */
  directory(code) {
    const at = this.number(code);
    return at ? (readPage(this.view, at, this.little, false)?.page ?? null) : null;
  }
}

/** UTF-8, be it cut in the midst of a letter; else Latin 1. */
export function decodeText(bytes) {
  const latin = () => Array.from(bytes, (b) => String.fromCharCode(b)).join("");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // As a stream, a decoder waits for the rest of the last letter.
  }
  try {
    const whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
    const cut = bytes.length - new TextEncoder().encode(whole).length;
    // A single byte at the end of plain ASCII is a letter of Latin 1 rather than the begin of one of UTF-8.
    return cut === 1 && !/[^\0-\x7f]/.test(whole) ? latin() : whole;
  } catch {
    return latin();
  }
}

/** Whether the bytes begin as a classic or big TIFF. */
export function isTiff(bytes) {
  const head = String.fromCharCode(...bytes.subarray(0, 4));
  return head === "II*\0" || head === "MM\0*" || head === "II+\0" || head === "MM\0+";
}

/** A TIFF's pages in their chain, each with its sub-pages in `subpages`, and where the first should stand (`first`);
 * null for what is no TIFF.
 *
 * `anyMark` also takes makers' own numbers in place of 42 (Olympus, Panasonic). */
export function openTiff(bytes, anyMark = false) {
  if (bytes.length < 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const order = String.fromCharCode(bytes[0], bytes[1]);
  if (!isTiff(bytes) && !(anyMark && (order === "II" || order === "MM"))) return null;
  const little = order === "II";
  const big = view.getUint16(2, little) === 43;
  if (big && bytes.length < 16) return null;
  const pages = [];
  const seen = new Set();
  const first = big ? Number(view.getBigUint64(8, little)) : view.getUint32(4, little);
  let at = first;
  while (at && !seen.has(at) && pages.length < PAGES_MAX) {
    seen.add(at);
    const read = readPage(view, at, little, big);
    if (!read) break;
    const starts = read.page.numbers(SUB_DIRECTORIES, PAGES_MAX) ?? [];
    read.page.subpages = starts.map((start) => readPage(view, start, little, big)?.page).filter(Boolean);
    pages.push(read.page);
    at = read.next;
  }
  return { view, little, big, first, pages };
}

/** The directory at `at` and where the next stands; null where none fits into the file. */
export function readPage(view, at, little, big) {
  const size = view.byteLength;
  const [head, length, inline] = big ? [8, 20, 8] : [2, 12, 4];
  if (!(at > 0) || at + head > size) return null;
  const count = big ? Number(view.getBigUint64(at, little)) : view.getUint16(at, little);
  if (count < 1 || count > ENTRIES_MAX) return null;
  const page = new Page(view, little);
  page.at = at;
  page.subpages = [];
  for (let i = 0; i < count; i++) {
    const entry = at + head + i * length;
    if (entry + length > size) return null;
    const type = view.getUint16(entry + 2, little);
    const many = big ? Number(view.getBigUint64(entry + 4, little)) : view.getUint32(entry + 4, little);
    const bytes = (SIZE[type] ?? 0) * many;
    const place = entry + length - inline;
    let from = place;
    if (bytes > inline) from = big ? Number(view.getBigUint64(place, little)) : view.getUint32(place, little);
    if (bytes > 0 && from + bytes <= size) {
      const code = view.getUint16(entry, little);
      if (!page.tags.has(code)) page.tags.set(code, { type, count: many, at: from });
    }
  }
  const after = at + head + count * length;
  const next =
    after + inline > size ? 0 : big ? Number(view.getBigUint64(after, little)) : view.getUint32(after, little);
  return { page, next };
}

/** All pages of a TIFF and the sub-pages below them, each once. */
export function allPages(tiff) {
  const found = new Map();
  for (const page of tiff.pages.flatMap((one) => [one, ...one.subpages])) {
    if (!found.has(page.at) && found.size < PAGES_MAX) found.set(page.at, page);
  }
  return [...found.values()];
}

/** What describes a page's picture, with TIFF's defaults. */
export function layout(page) {
  const width = page.number(256, 0);
  const height = page.number(257, 0);
  const tiled = page.has(322);
  return {
    width,
    height,
    bits: Math.max(...(page.numbers(258, SAMPLES_MAX) ?? [1])),
    compression: page.number(259, 1),
    photometric: page.number(262, -1),
    samples: page.number(277, 1),
    separate: page.number(284, 1) === 2,
    predictor: page.number(317, 1),
    isFloat: page.number(339, 1) === 3,
    isTiled: tiled,
    segmentWidth: tiled ? page.number(322) : width,
    segmentHeight: tiled ? page.number(323, 0) : Math.min(page.number(278, height), height),
    offsets: page.numbers(tiled ? 324 : 273) ?? [],
    lengths: page.numbers(tiled ? 325 : 279) ?? [],
  };
}
