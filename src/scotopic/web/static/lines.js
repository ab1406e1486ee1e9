// Rows and columns of the sensor that are off, bright or dead, over at least half of its height or width.

import { median } from "./levels.js";

/** The columns (`axis` 1) and rows (`axis` 0) that are off: [{axis, place, start, stop}]. */
export function linesOff(mosaic, noise, constants) {
  return [1, 0].flatMap((axis) => columnsOff(mosaic, noise, axis, constants.lines));
}

/** The places in the data of lines' pixels, each once. */
export function pixelsOf(lines, width) {
  const places = new Set();
  for (const { axis, place, start, stop } of lines)
    for (let at = start; at < stop; at++) places.add(axis ? at * width + place : place * width + at);
  return [...places];
}

/** The columns that are off; of the picture on its side for rows. */
function columnsOff({ data, height, width, black, white, cfa }, { shot, read }, axis, k) {
  const size = cfa.length;
  const [length, across, down, right] = axis ? [height, width, width, 1] : [width, height, 1, width];
  if (length < k.lengthMin || across <= 8 * size) return [];
  const edges = Array.from({ length: k.parts + 1 }, (_, n) => Math.floor((length * n) / k.parts));
  const [brighter, darker, offs, means, levels] = [0, 1, 2, 3, 4].map(() => edges.slice(1).map(() => new Float32Array(across)));
  let count = 0;
  for (let part = 0; part < k.parts; part++) {
    const lookedAt = placesOf(edges[part], edges[part + 1], size, k);
    count = lookedAt.length;
    for (const y of lookedAt)
      for (let x = 0; x < across; x++) {
        const at = y * down + x * right;
        means[part][x] += data[at] / count;
        if (x < 2 * size || x >= across - 2 * size) continue;
        const [above, below] = besideOf(data, at, size * right);
        const beside = (above + below) / 2;
        offs[part][x] += (data[at] - beside) / count;
        levels[part][x] += beside / count;
        brighter[part][x] += Math.sign(data[at] - above) / count;
        darker[part][x] += Math.sign(below - data[at]) / count;
      }
  }
  const dark = black.flat().reduce((sum, value) => sum + value, 0) / size ** 2;
  const span = white - dark;
  const [shotMost, readMost] = [Math.max(...shot), Math.max(...read)];
  const [found, most] = [[], k.linesMax * across];
  for (const [sign, ways] of [
    [1, brighter],
    [-1, darker],
  ])
    for (let x = 2 * size; x < across - 2 * size; x++) {
      let [first, last, parts] = longest(ways, x, k);
      if (parts < k.partsMin) continue;
      const light = Math.max((median(levels.map((level) => level[x])) - dark) / span, 0);
      const spread = Math.sqrt(shotMost * light + readMost) * span;
      const within = (values, at) => median(values.slice(first, last).map((line) => line[at]));
      const [before, own, after] = [x - 1, x, x + 1].map((at) => Math.abs(within(offs, at)));
      const error = spread / Math.sqrt(count * (last - first));
      if (own <= k.offSigmas * spread) continue;
      if (Math.max(before, after) >= k.beside * own + k.besideSigmas * error) continue;
      // Not what lies between two lines that are off.
      const [mean, ...nearest] = [x, x - size, x + size].map((at) => within(means, at));
      if (Math.max(...nearest.map((other) => sign * (mean - other))) < own / 2) continue;
      // The parts in which it ends are off in a share of their values, those of a weak one a little.
      while (first > 0 && ways[first - 1][x] > k.endOneWay) first--;
      while (last < k.parts && ways[last][x] > k.endOneWay) last++;
      found.push({ axis, place: x, start: edges[first], stop: edges[last] });
    }
  return found.length <= most ? found : [];
}

/** Where the parts that are off begin and end, without stray ones (the run of greatest sum), and how many they are. */
function longest(ways, x, k) {
  let [best, ends, total, start, parts] = [0, [0, 0, 0], 0, 0, 0];
  for (let part = 0; part < k.parts; part++) {
    const off = ways[part][x] > k.oneWay;
    total += off ? 1 : -k.gap;
    parts += off;
    if (total <= 0) [total, start, parts] = [0, part + 1, 0];
    else if (total > best) [best, ends] = [total, [start, part + 1, parts]];
  }
  return ends;
}

/** Places along a part of a line: groups of whole cells, evenly spread. */
function placesOf(top, bottom, size, k) {
  const group = size * Math.ceil(k.group / size);
  const groups = Math.max(Math.min(k.groups, Math.floor((bottom - top) / group)), 1);
  const places = [];
  for (let n = 0; n < groups; n++) {
    const start = top + Math.floor((n * (bottom - top - group)) / Math.max(groups - 1, 1));
    for (let at = 0; at < Math.min(group, bottom - top); at++) places.push(start + at);
  }
  return places;
}

/**
 * Of the four nearest of the same place in the cell the middle two: what both of one side at least exceed, and what both
 * of one side at most reach.
 */
function besideOf(data, at, step) {
  const [a, b, c, d] = [data[at - 2 * step], data[at - step], data[at + step], data[at + 2 * step]];
  return [Math.max(Math.min(a, b), Math.min(c, d)), Math.min(Math.max(a, b), Math.max(c, d))];
}
