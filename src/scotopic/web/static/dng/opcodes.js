/** Opcodes of a DNG that bend values: without them lossy files are not linear. Mirrors `scotopic.dng.opcodes`. */

import { rint } from '../levels.js';

const MAP_TABLE = 7;
const MAP_POLYNOMIAL = 8;
const OPCODES_MAX = 1000;
const HEAD = 36;

/** No sensor and no merged exposure reaches so many times its white level. */
export const LIGHT_MAX = 2 ** 20;

/** MapTable and MapPolynomial of an opcode list: where each applies and how it bends. Throws RangeError for
 * lists that are no whole ones. */
export function toneMaps(bytes) {
  if (bytes.length < 4) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const maps = [];
  let at = 4;
  const count = Math.min(view.getUint32(0), OPCODES_MAX);
  for (let i = 0; i < count; i++) {
    const code = view.getUint32(at);
    const body = at + 16;
    at = body + view.getUint32(at + 12);
    if (code !== MAP_TABLE && code !== MAP_POLYNOMIAL) continue;
    const [top, left, bottom, right, plane, planes, rowStep, columnStep, length] = Array.from({ length: 9 }, (_, n) =>
      view.getUint32(body + 4 * n),
    );
    const isTable = code === MAP_TABLE;
    const entries = isTable ? length : length + 1;
    if (body + HEAD + entries * (isTable ? 2 : 8) > bytes.length) throw new RangeError('an opcode breaks off');
    const bend = Float64Array.from({ length: entries }, (_, n) =>
      isTable ? view.getUint16(body + HEAD + 2 * n) : view.getFloat64(body + HEAD + 8 * n),
    );
    if (!bend.length || !bend.every(Number.isFinite)) continue;
    const steps = { rowStep: Math.max(1, rowStep), columnStep: Math.max(1, columnStep) };
    maps.push({ top, left, bottom, right, plane, planes, ...steps, bend, isTable });
  }
  return maps;
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
