// Light kept in 16 bits: half the memory of floats, and finer than any display shows.

const MOST = 65504;

/** The light that each of the 65,536 halves stands for. */
export const LIGHT_OF_HALF = tableOfHalves();

function tableOfHalves() {
  const table = new Float32Array(65536);
  for (let half = 0; half < 32768; half++) {
    const exponent = half >> 10;
    const fraction = half & 1023;
    if (exponent === 0) table[half] = fraction * 2 ** -24;
    else if (exponent < 31) table[half] = (1 + fraction / 1024) * 2 ** (exponent - 15);
    else table[half] = fraction ? NaN : Infinity;
    table[half + 32768] = -table[half];
  }
  return table;
}

/** Halves (Uint16Array) widened to floats. */
export function widened(halves) {
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) floats[i] = LIGHT_OF_HALF[halves[i]];
  return floats;
}

/**
 * Writes `floats` as halves into `halves` from `at` on, cut to what a half can hold; returns false where one
 * was no finite number.
 */
export function narrow(floats, halves, at = 0) {
  const bits = new Int32Array(floats.buffer, floats.byteOffset, floats.length);
  let finite = true;
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i];
    const sign = (b >>> 16) & 0x8000;
    const size = b & 0x7fffffff;
    let half;
    if (size >= 0x477fe000) {
      // At or above the largest half.
      if (size >= 0x7f800000) finite = false;
      half = 0x7bff;
    } else if (size >= 0x38800000) half = (size + 0xfff + ((size >> 13) & 1) - 0x38000000) >> 13;
    else half = Math.round(Math.abs(floats[i]) * 16777216);
    halves[at + i] = sign | half;
  }
  return finite;
}

export { MOST as HALF_MAX };
