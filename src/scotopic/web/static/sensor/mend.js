// Counts put right before a picture is made of them: columns and rows that are off, many hot pixels, and what a camera
// has cut off below black.

import { pixelsOf } from "./lines.js";
import { median, rint } from "../statistics.js";

/** {mosaic, hot}: the mosaic put right, or the one there was, and how many hot pixels were replaced. */
export function mended(mosaic, noise, constants) {
  const whole = uncut(mosaic, noise, constants.mend);
  const hot = hotPixels(whole, noise, constants.mend);
  return { mosaic: withoutPixels(whole, hot), hot: hot.length };
}

/** The mosaic without columns and rows that are off; itself where there are none. */
export function withoutLines(mosaic, lines) {
  return withoutPixels(mosaic, pixelsOf(lines, mosaic.width));
}

/** Where the hot pixels are, as places in the data; none where they are few. */
function hotPixels(mosaic, noise, k) {
  const { height, width } = mosaic;
  const tops = Array.from({ length: Math.ceil(height / k.band) }, (_, n) => n * k.band);
  const some = tops.filter((_, n) => n % k.sampled === 0);
  const lookedAt = some.reduce((sum, top) => sum + (Math.min(top + k.band, height) - top) * width, 0);
  const first = among(mosaic, noise, some, k);
  if (first.length < k.hotShareMin * lookedAt) return [];
  const rest = among(mosaic, noise, tops.filter((_, n) => n % k.sampled !== 0), k);
  const all = [...first, ...rest];
  return all.length < Math.max(k.hotMin, k.hotShareMin * mosaic.data.length) ? [] : all;
}

/** The hot pixels of some bands of rows. */
function among(mosaic, noise, tops, k) {
  const { data, height, width, black } = mosaic;
  const size = black.length;
  const above = k.hotSigmas * Math.sqrt(Math.max(...noise.read)) * (mosaic.white - Math.max(...black.flat()));
  const found = [];
  for (const top of tops) {
    const bottom = Math.min(top + k.band, height);
    const bright = [];
    for (let y = top; y < bottom; y++) {
      const dark = black[y % size];
      for (let x = size, at = y * width + size; x < width - size; x++, at++) {
        // Much brighter than a neighbour in the row on either side, and than one of its own place in the cell.
        const [before, here, after] = [dark[(x - 1) % size], dark[x % size], dark[(x + 1) % size]];
        const own = data[at] - here;
        if (own <= k.hotTimes * Math.min(data[at - 1] - before, data[at + 1] - after) + above) continue;
        if (own > k.hotTimesAlike * (Math.min(data[at - size], data[at + size]) - here) + above) bright.push(at);
      }
    }
    if (bright.length > k.hotShareMax * (bottom - top) * width) continue;
    for (const at of bright) {
      const [y, x] = [Math.floor(at / width), at % width];
      if (y >= 2 && y < height - 2 && isHot(mosaic, noise, y, x, k)) found.push(at);
    }
  }
  return found;
}

function isHot({ data, width, black, white, cfa, wb }, { shot, read }, row, column, k) {
  const size = cfa.length;
  // Above black, not below 0, and the colour.
  const at = (dy, dx) => {
    const [y, x] = [row + dy, column + dx];
    const dark = black[y % size][x % size];
    return [Math.max((data[y * width + x] - dark) / (white - dark), 0), cfa[y % size][x % size]];
  };
  const [own, colour] = at(0, 0);
  const [counted, balanced, alike] = [[], [], []];
  for (let dy = -2; dy <= 2; dy++)
    for (let dx = -2; dx <= 2; dx++) {
      if (!dy && !dx) continue;
      const [value, of] = at(dy, dx);
      if (of === colour) alike.push(value);
      if (Math.abs(dy) < 2 && Math.abs(dx) < 2) {
        counted.push(value);
        balanced.push(value * wb[of]);
      }
    }
  // Both of the second brightest: one neighbour may be hot itself.
  const beyond = (times, value, others, gain) => {
    const other = others.sort((a, b) => b - a)[1] ?? 0;
    return value > times * other + k.hotSigmas * gain * Math.sqrt(read[colour] + (shot[colour] * other) / gain);
  };
  return (
    beyond(k.hotTimesAlike, own, alike, 1) &&
    beyond(k.hotTimes, own, counted, 1) &&
    beyond(k.hotTimes, own * wb[colour], balanced, wb[colour])
  );
}

/** A copy in which pixels have the median of the others of their colour around them; the mosaic where there are none. */
function withoutPixels(mosaic, places) {
  if (!places.length) return mosaic;
  const { data, height, width, cfa } = mosaic;
  const size = cfa.length;
  const reach = size === 2 ? 2 : 3;
  const bad = new Set(places);
  const out = data.slice();
  for (const place of places) {
    const [row, column] = [Math.floor(place / width), place % width];
    const around = [];
    for (let y = Math.max(0, row - reach); y <= Math.min(height - 1, row + reach); y++)
      for (let x = Math.max(0, column - reach); x <= Math.min(width - 1, column + reach); x++) {
        const alike = cfa[y % size][x % size] === cfa[row % size][column % size];
        if (alike && !bad.has(y * width + x)) around.push(data[y * width + x]);
      }
    if (!around.length) continue;
    // Cut off, whole numbers would be darker.
    out[place] = data instanceof Float32Array ? median(around) : rint(median(around));
  }
  return { ...mosaic, data: out };
}

/** The mosaic with zeros spread below 0 DN as noise would have, where the camera has cut there. */
function uncut(mosaic, noise, k) {
  const { data, height, width, cfa } = mosaic;
  const size = cfa.length;
  const box = (2 * k.reach + 1) ** 2;
  const steps = k.normalQuantiles.length;
  let out = null;
  // Floats keep what is below black.
  if (data instanceof Float32Array) return mosaic;
  for (let dy = 0; dy < size; dy++)
    for (let dx = 0; dx < size; dx++) {
      const black = mosaic.black[dy][dx];
      const sigma = Math.sqrt(noise.read[cfa[dy][dx]]) * (mosaic.white - black);
      const [rows, columns] = [height - dy, width - dx].map((n) => Math.ceil(n / size));
      if (sigma < k.cutSigmaMinDn || black >= k.cutSigmas * sigma || Math.min(rows, columns) <= k.reach) continue;
      const zero = new Uint8Array(rows * columns);
      let any = false;
      for (let y = 0, n = 0; y < rows; y++)
        for (let x = 0, at = (y * size + dy) * width + dx; x < columns; x++, n++, at += size)
          if (data[at] <= 0) any = zero[n] = 1;
      if (!any) continue;
      out ??= new Float32Array(data);
      const counts = boxSums(zero, rows, columns, k.reach);
      // Counts are whole: what is below half a DN is 0. And no light is darker than black.
      const most = Math.fround((0.5 - black) / sigma);
      const scale = Math.fround(sigma);
      for (let y = 0, n = 0; y < rows; y++)
        for (let x = 0, at = (y * size + dy) * width + dx; x < columns; x++, n++, at += size) {
          if (!zero[n]) continue;
          const step = Math.floor(Math.floor((hashed(at) * counts[n] * steps) / 2 ** 32) / box);
          const below = Math.fround(k.normalQuantiles[step] - Math.min(k.boxQuantiles[counts[n]], most));
          out[at] = below < 0 ? Math.fround(scale * below) + 0.5 : 0;
        }
    }
  return out ? { ...mosaic, data: out } : mosaic;
}

/** A number of 32 bits that looks drawn by lot, the same for the same place. */
function hashed(place) {
  let x = place >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** How many are marked in the square around each; beyond the edges mirrored. */
function boxSums(marks, rows, columns, reach) {
  const mirrored = (n, length) => (n < 0 ? -n : n >= length ? 2 * (length - 1) - n : n);
  const across = new Uint8Array(marks.length);
  const sums = new Uint8Array(marks.length);
  for (let y = 0, n = 0; y < rows; y++)
    for (let x = 0; x < columns; x++, n++)
      for (let d = -reach; d <= reach; d++) across[n] += marks[y * columns + mirrored(x + d, columns)];
  for (let y = 0, n = 0; y < rows; y++)
    for (let x = 0; x < columns; x++, n++)
      for (let d = -reach; d <= reach; d++) sums[n] += across[mirrored(y + d, rows) * columns + x];
  return sums;
}
