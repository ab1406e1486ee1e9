/** LibRaw, compiled to WebAssembly: a file's bytes to what it holds. Mirrors `scotopic.libraw`.
 *
 * A fresh instance for each file: one that a broken file has upset is dropped with its memory. */

import { ScotopicError, damaged, unsupported } from "./errors.js";
import { compiledWasm, part } from "./parts.js";

/** The places in the wrapper's `facts` (libraw/scotopic.cpp). */
const FACTS = [
  "rawHeight",
  "rawWidth",
  "height",
  "width",
  "top",
  "left",
  "pixelAspect",
  "flip",
  "colours",
  "filters",
  "samples",
  "white",
  "isRgbKnown",
  "iso",
  "shutter_s",
  "aperture",
  "focal_mm",
  "timestamp",
  "dngVersion",
  "rawCount",
];
const BLACK = FACTS.length;
const WB = BLACK + 4;
const XYZ_TO_CAMERA = WB + 4;
const MATRIX = XYZ_TO_CAMERA + 12;
const TO_SRGB = MATRIX + 12;
const FACTS_COUNT = TO_SRGB + 12;

/** LibRaw's flip (bits: 1 left for right, 2 top for bottom, 4 rows for columns) to the EXIF number. */
export const EXIF_ORIENTATION_OF_FLIP = { 0: 1, 1: 2, 3: 3, 2: 4, 4: 5, 6: 6, 7: 7, 5: 8 };

const [UNSUPPORTED, NO_MEMORY, DATA_ERROR, IO_ERROR, TOO_BIG] = [-2, -100007, -100008, -100009, -100012];
const X_TRANS = 9;

let compiled = null;

const FILE = "libraw.wasm";

/** The compiled module; fetched once, and anew where that failed. Throws download or foreign. */
export function librawModule() {
  compiled ??= compile().catch((error) => {
    compiled = null;
    throw error;
  });
  return compiled;
}

async function compile() {
  const url = new URL(FILE, import.meta.url);
  if (url.protocol !== "file:") return part(import.meta.url, FILE, compiledWasm);
  const { readFile } = await import("node:fs/promises");
  return WebAssembly.compile(await readFile(url));
}

/** A fresh instance's exports, for LibRaw, zlib and libjpeg alike.
 *
 * What the C library would ask of a system (to print a warning) is refused as a closed file would: an answer of
 * success would have it try again for ever. */
export async function instance() {
  const module = await librawModule();
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] = name === "proc_exit" ? giveUp : () => BAD_FILE;
  }
  const { exports } = await WebAssembly.instantiate(module, imports);
  exports._initialize?.();
  return exports;
}

/** WASI's error number for a file that is not open. */
const BAD_FILE = 8;

function giveUp() {
  throw new WebAssembly.RuntimeError("LibRaw gave up");
}

/** An opened file: its header is read, its picture not yet. */
export class Raw {
  constructor(exports) {
    this.exports = exports;
  }

  /** Open `bytes`. Throws unsupported, truncated, memory, download or foreign. */
  static async open(bytes, megabytesMax = 2000) {
    const raw = new Raw(await instance());
    raw.#guarded(() => {
      const { exports } = raw;
      const place = exports.malloc(bytes.length);
      if (!place) throw new RangeError("no memory for the file");
      new Uint8Array(exports.memory.buffer).set(bytes, place);
      raw.bytes = place;
      raw.decoder = exports.decoder(megabytesMax);
      raw.#check(exports.open(raw.decoder, place, bytes.length));
    });
    return raw;
  }

  /** Rows and columns of the whole stored picture as the header states them. */
  get statedSize() {
    const both = this.exports.stated_size(this.decoder) >>> 0;
    return { height: both >>> 16, width: both & 0xffff };
  }

  /** Decode the picture, and take over what LibRaw knows of it. Throws as `open` does. */
  unpack() {
    this.#guarded(() => {
      const { exports } = this;
      this.#check(exports.unpack(this.decoder));
      exports.free(this.bytes);
      const facts = new Float64Array(exports.memory.buffer, exports.facts(this.decoder), FACTS_COUNT).slice();
      FACTS.forEach((name, i) => (this[name] = facts[i]));
      this.black = [...facts.subarray(BLACK, BLACK + 4)];
      this.wb = [...facts.subarray(WB, WB + 4)];
      this.xyzToCamera = rows(facts.subarray(XYZ_TO_CAMERA), 3, 3);
      this.matrix = rows(facts.subarray(MATRIX), 3, 4);
      this.toSrgb = rows(facts.subarray(TO_SRGB), 3, 4);
      this.make = this.#text(exports.make(this.decoder));
      this.model = this.#text(exports.model(this.decoder));
      this.lens = this.#text(exports.lens(this.decoder));
      this.letters = this.#text(exports.letters(this.decoder));
    });
    return this;
  }

  /** The whole stored picture, (rawHeight, rawWidth, samples), inside LibRaw's memory: copy what is to stay. */
  get values() {
    const { exports } = this;
    const place = this.samples ? exports.values(this.decoder) : 0;
    if (!place) return null;
    return new Uint16Array(exports.memory.buffer, place, this.rawHeight * this.rawWidth * this.samples);
  }

  /** LibRaw's number of the colour at a place counted from the visible area's corner. */
  colourAt(y, x) {
    return this.exports.colour_at(this.decoder, y, x);
  }

  /** How many rows and columns the colours repeat over; 0 where they do not. */
  get patternSize() {
    if (this.samples !== 1) return 0;
    if (this.filters === X_TRANS) return 6;
    if (this.filters < 1000) return 0;
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 4; x++) {
        const [top, left] = [y - this.top, x - this.left];
        if (this.colourAt(top, left) !== this.colourAt((y % 2) - this.top, (x % 2) - this.left)) return 4;
      }
    }
    return 2;
  }

  #text(place) {
    const memory = new Uint8Array(this.exports.memory.buffer);
    return String.fromCharCode(...memory.subarray(place, memory.indexOf(0, place)));
  }

  #check(code) {
    switch (code) {
      case 0:
        return;
      case UNSUPPORTED:
        throw unsupported("camera", "no RAW file of a kind that LibRaw can decode here");
      case NO_MEMORY:
        throw new ScotopicError("memory", "not enough memory to decode the RAW file");
      case TOO_BIG:
        throw new ScotopicError("too-large", "the RAW file is too large to be decoded here");
      case IO_ERROR:
      case DATA_ERROR:
        throw damaged("the RAW file is cut short or damaged");
      default:
        throw damaged(`LibRaw could not decode the file (${code})`);
    }
  }

  #guarded(work) {
    try {
      work();
    } catch (error) {
      if (error instanceof ScotopicError) throw error;
      if (error instanceof RangeError) throw new ScotopicError("memory", `not enough memory (${error.message})`);
      throw damaged(`LibRaw could not decode the file (${error.message})`);
    }
  }
}

/** The camera's gains, green = 1; null where it gives none. */
export function whiteBalance({ wb: [red, green, blue] }) {
  return red > 1e-5 && green > 1e-5 && blue > 1e-5 ? [red / green, 1, blue / green] : null;
}

/** Whether LibRaw takes a maker's black from columns that see no light, left of the picture: known of Canon. */
export function isBlackOfMargin(make) {
  return make.toLowerCase().startsWith("canon");
}

function rows(flat, count, length) {
  return Array.from({ length: count }, (_, i) => [...flat.subarray(i * length, (i + 1) * length)]);
}
