// Colour patterns: which sensors there are models for, and how any phase of them becomes the one they know.

import { unsupported } from "../errors.js";

/** [rows, columns] to cut off a mosaic of pattern `found` so that it begins with `wanted`; null for another. */
export function offset(found, wanted) {
  const size = wanted.length;
  if (found.length !== size) return null;
  for (let top = 0; top < size; top++)
    for (let left = 0; left < size; left++)
      if (wanted.every((row, y) => row.every((c, x) => found[(y + top) % size][(x + left) % size] === c)))
        return [top, left];
  return null;
}

/** The pattern that a mosaic has in some phase; throws `unsupported` where no model knows it. */
export function patternOf(cfa, constants) {
  const pattern = constants.pattern.patterns.find((p) => offset(cfa, p.cfa));
  if (pattern) return pattern;
  const letters = cfa.map((row) => row.map((c) => "RGB"[c] ?? "?").join("")).join("/");
  throw unsupported(
    letters,
    `this picture's colour pattern is ${letters}; the models know Bayer patterns and X-Trans only`,
  );
}

/** [rows, columns] to put before a mosaic so that it begins as its pattern's models want. */
export function missing(cfa, constants) {
  const pattern = patternOf(cfa, constants);
  const size = pattern.cfa.length;
  return offset(cfa, pattern.cfa).map((n) => (size - n) % size);
}

/**
 * Where the values of an axis come from once `before` and `after` more are put around `length`; Int32Array.
 *
 * Bayer patterns are mirrored about the edge pixels. Others (`cell` above 2) do not bear it: there the
 * outermost whole cells come again, unflipped.
 */
export function extendedAxis(length, before, after, cell) {
  const sources = new Int32Array(before + length + after);
  const period = cell > 2 ? cell : 2 * (length - 1);
  for (let i = 0; i < sources.length; i++) {
    const wanted = i - before;
    if (cell > 2) {
      const over = Math.max(wanted - length + 1, 0);
      if (wanted < 0) sources[i] = modulo(wanted, period);
      else sources[i] = wanted - Math.ceil(over / period) * period;
    } else {
      const folded = modulo(wanted, period);
      sources[i] = Math.min(folded, period - folded);
    }
  }
  return sources;
}

/**
 * The same for an axis of a mosaic on its way into the graph: `missing` before it, then what lacks to a
 * `multiple` after it, as Python does one after the other.
 */
export function paddedAxis(length, before, multiple, cell) {
  const first = extendedAxis(length, before, 0, cell);
  const second = extendedAxis(first.length, 0, modulo(-first.length, multiple), cell);
  return second.map((i) => first[i]);
}

/** The remainder with the divisor's sign. */
export function modulo(value, divisor) {
  return ((value % divisor) + divisor) % divisor;
}
