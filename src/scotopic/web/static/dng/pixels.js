/** The values that a DNG stores, where LibRaw is not asked first. Mirrors `scotopic.dng.pixels`.
 *
 * Deflate and plain values are decoded here, lossy JPEG by libjpeg-turbo, lossless JPEG by LibRaw, which is handed
 * the one page that is wanted as a DNG of its own. JPEG XL is not read in the page. */

import { ScotopicError, damaged, notHere } from "../errors.js";
import { Raw, instance } from "../libraw.js";
import { directoryBytes, joined } from "../metadata.js";
import { ASCII, BYTE, LONG, SHORT } from "../tiff.js";
import { DEFLATE, JPEG_XL, LOSSLESS_JPEG, LOSSY_JPEG } from "./directory.js";

const UNCOMPRESSED = 1;

/** So many bytes at most come from one: deflate cannot do better, JPEG not in pictures of any use. */
const EXPANSION_MAX = { [UNCOMPRESSED]: 1, [LOSSLESS_JPEG]: 200, 8: 1040, 32946: 1040, [LOSSY_JPEG]: 2000 };

/** A JPEG ends with FF D9, behind which there may be some padding. */
const END_WITHIN = 64;

/** Predictors that difference every so many pixels: of integers, and of floats whose bytes lie in planes. */
const INTEGER_STEPS = { 2: 1, 34892: 2, 34893: 4 };
const FLOAT_STEPS = { 3: 1, 34894: 2, 34895: 4 };

/** What the file stores for the picture that `dng` describes: { values, stride, storedWidth }, rows and columns in
 * order, the linearization table applied. Throws not-here, truncated, memory. */
export async function readPixels(bytes, dng) {
  const { stored, width, height, samples } = dng;
  checkSegments(stored);
  let found;
  if (stored.compression === LOSSLESS_JPEG && !stored.isLossy) found = await byLibraw(bytes, dng);
  else found = { values: await decoded(bytes, dng), stride: samples };
  if (dng.interleave.join() !== "1,1")
    found.values = inOrder(found.values, width, height, found.stride, dng.interleave);
  if (dng.table !== null && !(found.values instanceof Float32Array)) {
    const last = dng.table.length - 1;
    found.values = Uint16Array.from(found.values, (v) => dng.table[Math.min(v, last)]);
  }
  return { ...found, storedWidth: width };
}

/** Refuse before decoding what cannot be whole, or would fill the memory with nothing. */
function checkSegments({
  compression: stated,
  isLossy,
  width,
  height,
  samples,
  separate,
  bits,
  segmentWidth,
  segmentHeight,
  offsets,
  lengths,
}) {
  const compression = isLossy ? LOSSY_JPEG : stated;
  if (isLossy && bits > 8)
    throw notHere(`lossy JPEG of ${bits} bits`, `its picture is a lossy JPEG of ${bits} bits, which the page does not read`);
  if (compression === JPEG_XL)
    throw notHere("JPEG XL", "its picture is stored as JPEG XL, which the page does not read");
  if (!(compression in EXPANSION_MAX)) {
    throw notHere("compression", `its compression (number ${compression}) is none that can be decoded here`);
  }
  const needed = Math.ceil(width / segmentWidth) * Math.ceil(height / segmentHeight) * (separate ? samples : 1);
  const there = lengths.slice(0, needed).filter((n) => n > 0).length;
  if (!(needed > 0) || there < needed || offsets.length < needed) {
    throw damaged(`parts of its picture are missing (${there} of ${needed} are there)`);
  }
  const promised = Math.floor((width * height * bits * samples) / 8);
  const held = lengths.reduce((sum, n) => sum + n, 0);
  if (promised > held * EXPANSION_MAX[compression]) {
    throw damaged(`promises ${promised} bytes of picture and holds ${held}`);
  }
}

/** Put the wanted page before LibRaw alone: the same file behind a directory with nothing but its pixels. */
async function byLibraw(bytes, { stored, cfa, samples, width, height }) {
  const s = stored;
  const short = (...values) => ({ type: SHORT, values });
  const long = (...values) => ({ type: LONG, values });
  const tags = new Map([
    [254, long(0)],
    [256, long(s.width)],
    [257, long(s.height)],
    [258, short(...new Array(samples).fill(s.bits))],
    [259, short(LOSSLESS_JPEG)],
    [262, short(s.photometric)],
    [271, { type: ASCII, values: "any" }],
    [272, { type: ASCII, values: "any" }],
    [277, short(samples)],
    [284, short(1)],
    [s.isTiled ? 324 : 273, long(...s.offsets)],
    [s.isTiled ? 325 : 279, long(...s.lengths)],
    [50706, { type: BYTE, values: Uint8Array.from([1, 4, 0, 0]) }],
    [50717, long(...new Array(samples).fill(2 ** s.bits - 1))],
  ]);
  if (s.isTiled) tags.set(322, long(s.segmentWidth)).set(323, long(s.segmentHeight));
  else tags.set(278, long(s.segmentHeight));
  if (cfa) tags.set(33421, short(2, 2)).set(33422, { type: BYTE, values: Uint8Array.from([0, 1, 1, 2]) });
  const at = bytes.length + (bytes.length % 2);
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, 0x49492a00);
  new DataView(head.buffer).setUint32(4, at, true);
  const whole = joined([head, bytes.subarray(8), new Uint8Array(at - bytes.length), directoryBytes(tags, at)]);
  const raw = (await Raw.open(whole)).unpack();
  if (!raw.values || raw.rawWidth !== width || raw.rawHeight !== height || raw.samples < samples) {
    throw damaged("the RAW file's picture does not decode");
  }
  return { values: raw.values, stride: raw.samples };
}

/** Values decoded segment by segment: (height, width, samples) in one array. */
async function decoded(bytes, { page, stored }) {
  const { width, height, samples, separate, segmentWidth, segmentHeight, offsets, lengths } = stored;
  const exports = await instance();
  const planes = separate ? samples : 1;
  const each = separate ? 1 : samples;
  const out = new (kindOf(stored))(width * height * samples);
  const across = Math.ceil(width / segmentWidth);
  const perPlane = across * Math.ceil(height / segmentHeight);
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < perPlane; i++) {
      const [top, left] = [Math.floor(i / across) * segmentHeight, (i % across) * segmentWidth];
      const index = plane * perPlane + i;
      const content = bytes.subarray(offsets[index], offsets[index] + lengths[index]);
      const rowsHere = Math.min(segmentHeight, height - top);
      const segment = segmentValues(content, stored, each, rowsHere, page.little, exports);
      const columns = Math.min(segmentWidth, width - left);
      for (let y = 0; y < rowsHere; y++) {
        const from = y * segmentWidth * each;
        const to = ((top + y) * width + left) * samples + plane;
        if (!separate) out.set(segment.subarray(from, from + columns * samples), to);
        else for (let x = 0; x < columns; x++) out[to + x * samples] = segment[from + x];
      }
    }
  }
  return out;
}

function kindOf({ bits, isFloat }) {
  if (isFloat) return Float32Array;
  return bits <= 8 ? Uint8Array : bits <= 16 ? Uint16Array : Uint32Array;
}

/** One strip's or tile's values, its rows segmentWidth * each long. */
function segmentValues(content, stored, each, rowsHere, little, exports) {
  const { compression, bits, isFloat, isLossy, predictor, segmentWidth, segmentHeight } = stored;
  const length = segmentWidth * each;
  if (isLossy) return lossy(content, stored, each, rowsHere, exports);
  const rowBytes = Math.ceil((length * bits) / 8);
  let plain = content;
  if (DEFLATE.includes(compression)) plain = inflated(content, rowBytes * segmentHeight, exports);
  // A last strip may hold only the rows that are left.
  if (plain.length < rowBytes * rowsHere) throw damaged("the RAW file's picture breaks off");
  const out = new (kindOf(stored))(length * rowsHere);
  for (let y = 0; y < rowsHere; y++) {
    const row = plain.subarray(y * rowBytes, (y + 1) * rowBytes);
    const to = out.subarray(y * length, (y + 1) * length);
    if (isFloat && predictor in FLOAT_STEPS) floatsOfPlanes(row.slice(), to, bits, each * FLOAT_STEPS[predictor]);
    else unpackRow(row, to, bits, isFloat, little);
    if (!isFloat && predictor in INTEGER_STEPS) {
      const step = each * INTEGER_STEPS[predictor];
      for (let x = step; x < length; x++) to[x] += to[x - step];
    }
  }
  return out;
}

function inflated(content, room, exports) {
  const [from, to] = [exports.malloc(content.length), exports.malloc(room)];
  if (!from || !to) throw new ScotopicError("memory", "not enough memory to decode the RAW file");
  new Uint8Array(exports.memory.buffer).set(content, from);
  const written = exports.inflated(from, content.length, to, room);
  if (written < 0) throw damaged("the RAW file's picture does not decode");
  const plain = new Uint8Array(exports.memory.buffer, to, written).slice();
  exports.free(from);
  exports.free(to);
  return plain;
}

function lossy(content, { segmentWidth, segmentHeight, separate }, each, rowsHere, exports) {
  const tail = content.subarray(Math.max(0, content.length - END_WITHIN));
  if (!tail.some((b, i) => b === 0xff && tail[i + 1] === 0xd9)) throw damaged("the RAW file's picture breaks off");
  const size = segmentWidth * segmentHeight * each;
  const [from, to] = [exports.malloc(content.length), exports.malloc(size)];
  if (!from || !to) throw new ScotopicError("memory", "not enough memory to decode the RAW file");
  new Uint8Array(exports.memory.buffer).set(content, from);
  // Tiles are whole; the last strip may be as short as the picture.
  const done = [segmentHeight, rowsHere].some((rows) =>
    exports.jpeg_decoded(from, content.length, to, segmentWidth, rows, separate ? 1 : each),
  );
  if (!done) throw damaged("the RAW file's picture does not decode");
  const values = new Uint8Array(exports.memory.buffer, to, size).slice();
  exports.free(from);
  exports.free(to);
  return values;
}

/** A row of plain values: whole bytes in the file's order, or bits packed from the highest on. */
function unpackRow(row, to, bits, isFloat, little) {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  if (isFloat) {
    const size = bits / 8;
    for (let x = 0; x < to.length; x++) {
      const at = (i) => row[x * size + (little ? size - 1 - i : i)];
      to[x] = floatOf(at, bits);
    }
  } else if (bits === 8) to.set(row);
  else if (bits === 16) for (let x = 0; x < to.length; x++) to[x] = view.getUint16(2 * x, little);
  else if (bits === 32) for (let x = 0; x < to.length; x++) to[x] = view.getUint32(4 * x, little);
  else {
    let [held, count, at] = [0, 0, 0];
    for (let x = 0; x < to.length; x++) {
      while (count < bits) {
        held = held * 256 + row[at++];
        count += 8;
      }
      const rest = 2 ** (count - bits);
      to[x] = Math.floor(held / rest);
      held %= rest;
      count -= bits;
    }
  }
}

/** Undo TIFF's floating-point predictor: bytes differenced, the highest of all values first, then the next. */
function floatsOfPlanes(row, to, bits, step) {
  for (let i = step; i < row.length; i++) row[i] += row[i - step];
  for (let x = 0; x < to.length; x++) to[x] = floatOf((i) => row[i * to.length + x], bits);
}

const scratch = new DataView(new ArrayBuffer(4));

/** A float of 16, 24 or 32 bits from its bytes, `at(0)` the highest. */
function floatOf(at, bits) {
  if (bits === 32) {
    for (let i = 0; i < 4; i++) scratch.setUint8(i, at(i));
    return scratch.getFloat32(0);
  }
  const [exponentBits, mantissaBits] = bits === 16 ? [5, 10] : [7, 16];
  let code = 0;
  for (let i = 0; i < bits / 8; i++) code = code * 256 + at(i);
  const sign = code >= 2 ** (bits - 1) ? -1 : 1;
  const exponent = Math.floor(code / 2 ** mantissaBits) % 2 ** exponentBits;
  const mantissa = code % 2 ** mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return mantissa ? NaN : sign * Infinity;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** Rows and columns that are stored in so many fields one after the other, put in their places. */
function inOrder(values, width, height, stride, [rows, columns]) {
  const out = new values.constructor(values.length);
  let y = 0;
  for (let row = 0; row < rows; row++) {
    for (let to = row; to < height; to += rows, y++) {
      let x = 0;
      for (let column = 0; column < columns; column++) {
        for (let at = column; at < width; at += columns, x++) {
          for (let s = 0; s < stride; s++) out[(to * width + at) * stride + s] = values[(y * width + x) * stride + s];
        }
      }
    }
  }
  return out;
}
