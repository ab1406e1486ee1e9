/** Opcodes of a DNG: those that bend values, without which lossy files are not linear, and gains against shading.
 *
 * Mirrors `scotopic.dng.opcodes`. */

import { rint } from "../statistics.js";

const MAP_TABLE = 7;
const MAP_POLYNOMIAL = 8;
const GAIN_MAP = 9;
/** WarpRectilinear, WarpFisheye, FixVignetteRadial, WarpRectilinear2. */
const OF_A_LENS = [1, 2, 3, 14];
/** Bytes behind the planes' coefficients in the opcodes that warp each colour by its own. */
const WARP_TAILS = { 1: 16, 2: 16, 14: 20 };
const OPCODES_MAX = 1000;

/** Bytes before a curve's values, and before a map's. */
const CURVE_HEAD = 36;
const GAIN_HEAD = 76;

/** No lens needs more; larger ones are damage. */
const GAIN_MAX = 64;
const POINTS_MAX = 1 << 20;

/** No sensor and no merged exposure reaches so many times its white level. */
export const LIGHT_MAX = 2 ** 20;

/** The opcodes of a list, each { code, body }, the body a DataView. Throws RangeError for one that is cut short. */
export function split(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  let at = 4;
  const count = Math.min(view.getUint32(0), OPCODES_MAX);
  for (let i = 0; i < count; i++) {
    const size = view.getUint32(at + 12);
    found.push({ code: view.getUint32(at), body: new DataView(view.buffer, view.byteOffset + at + 16, size) });
    at += 16 + size;
    if (at > bytes.length) throw new RangeError("an opcode that is cut short");
  }
  return found;
}

/** The gain maps before any other opcode: what comes behind a warp lies where the warp has put it. */
export function leadingGains(opcodes) {
  const end = opcodes.findIndex(({ code }) => code !== GAIN_MAP);
  return end < 0 ? opcodes : opcodes.slice(0, end);
}

/** Whether they undo what a lens does to shapes or to the brightness of corners, beside gain maps. */
export const correctsLens = (opcodes) => opcodes.some(({ code }) => OF_A_LENS.includes(code));

/** The list without them, as bytes; null where nothing else is in it. Throws RangeError as `split`. */
export function withoutLeadingGains(bytes) {
  const opcodes = split(bytes);
  const gains = leadingGains(opcodes);
  if (gains.length === opcodes.length) return null;
  const length = gains.reduce((sum, { body }) => sum + 16 + body.byteLength, 0);
  const left = new Uint8Array(bytes.length - length);
  left.set(bytes.subarray(4 + length), 4);
  new DataView(left.buffer).setUint32(0, opcodes.length - gains.length);
  return left;
}

/** The list with warps that move these colours as they move green, as bytes: for those that lie upon it already. Throws
 * RangeError as `split`. */
export function warpedAsGreen(bytes, colours) {
  const changed = bytes.slice();
  for (const { code, body } of split(changed)) {
    if (!(code in WARP_TAILS) || body.byteLength < 4 || body.getUint32(0) !== 3) continue;
    const size = Math.floor((body.byteLength - 4 - WARP_TAILS[code]) / 3);
    if (size <= 0) continue;
    const planes = new Uint8Array(body.buffer, body.byteOffset + 4, 3 * size);
    for (const plane of colours) planes.copyWithin(plane * size, size, 2 * size);
  }
  return changed;
}

const longs = (view, count) => Array.from({ length: count }, (_, i) => view.getUint32(4 * i));

/** MapTable and MapPolynomial of an opcode list: where each applies and how it bends. Throws RangeError. */
export function toneMaps(opcodes) {
  const maps = [];
  for (const { code, body } of opcodes) {
    if (code !== MAP_TABLE && code !== MAP_POLYNOMIAL) continue;
    const [top, left, bottom, right, plane, planes, rowStep, columnStep, length] = longs(body, 9);
    const isTable = code === MAP_TABLE;
    if (CURVE_HEAD + length * (isTable ? 2 : 8) > body.byteLength) throw new RangeError("a curve that is cut short");
    const bend = Float64Array.from({ length: isTable ? length : length + 1 }, (_, n) =>
      isTable ? body.getUint16(CURVE_HEAD + 2 * n) : body.getFloat64(CURVE_HEAD + 8 * n),
    );
    if (!bend.length || !bend.every(Number.isFinite)) continue;
    const steps = { rowStep: Math.max(1, rowStep), columnStep: Math.max(1, columnStep) };
    maps.push({ top, left, bottom, right, plane, planes, ...steps, bend, isTable });
  }
  return maps;
}

/** The gain maps of an opcode list, for a mosaic whose cell has so many rows, or finished colours (null), as
 * `Shading` takes them. Throws RangeError for one that is broken. */
export function gainMaps(opcodes, cell) {
  return opcodes.filter(({ code }) => code === GAIN_MAP).map(({ body }) => gainMap(body, cell));
}

function gainMap(body, cell) {
  const [top, left, bottom, right, plane, planes, rowPitch, columnPitch, down, across] = longs(body, 10);
  const [spacingDown, spacingAcross, originDown, originAcross] = [40, 48, 56, 64].map((at) => body.getFloat64(at));
  const deep = body.getUint32(72);
  const points = down * across * deep;
  if (!(top < bottom && left < right && planes)) throw new RangeError("a gain map for no pixels");
  if ([rowPitch, columnPitch].some((pitch) => !pitch || (cell ?? 1) % pitch)) {
    throw new RangeError(`a gain map for every ${rowPitch}th row and ${columnPitch}th column`);
  }
  if (!(points > 0 && points <= POINTS_MAX) || body.byteLength < GAIN_HEAD + 4 * points) {
    throw new RangeError(`a gain map of ${down}x${across}x${deep} points in ${body.byteLength} bytes`);
  }
  const places = [spacingDown, spacingAcross, originDown, originAcross];
  if (!places.every(Number.isFinite) || Math.min(spacingDown, spacingAcross) <= 0) {
    throw new RangeError("a gain map without a place");
  }
  const grid = Float32Array.from({ length: points }, (_, i) => body.getFloat32(GAIN_HEAD + 4 * i));
  if (!grid.every((gain) => gain > 0 && gain <= GAIN_MAX)) {
    throw new RangeError(`a gain map with gains beyond 0 to ${GAIN_MAX}`);
  }
  return {
    area: [top, left, bottom, right],
    pitch: [rowPitch, columnPitch],
    planes: [plane, planes],
    origin: [originDown, originAcross],
    spacing: [spacingDown, spacingAcross],
    grid,
    points: [down, across, deep],
    ofMosaic: cell !== null,
  };
}

/** What `maps` make of the value 0..1 of a place; the same in single precision as it came. */
export function bent(light, maps, y, x, plane) {
  let value = light;
  for (const m of maps) {
    if (y < m.top || y >= m.bottom || x < m.left || x >= m.right) continue;
    if (plane < m.plane || plane >= m.plane + m.planes) continue;
    if ((y - m.top) % m.rowStep || (x - m.left) % m.columnStep) continue;
    const inside = Math.min(1, Math.max(0, value));
    value = Math.fround(m.isTable ? fromTable(m.bend, inside) : polynomial(m.bend, inside));
  }
  return value;
}

function fromTable(table, x) {
  return table[Math.min(rint(x * 65535), table.length - 1)] / 65535;
}

function polynomial(coefficients, x) {
  let y = coefficients[coefficients.length - 1];
  for (let i = coefficients.length - 2; i >= 0; i--) y = coefficients[i] + y * x;
  if (Number.isNaN(y)) return 0;
  return Math.min(LIGHT_MAX, Math.max(-LIGHT_MAX, y));
}
