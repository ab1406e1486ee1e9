// Rows and columns of the sensor that are off, bright or dead, over at least half of its height or width.

import { median } from "../statistics.js";

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
function columnsOff(mosaic, noise, axis, k) {
  const { height, width, cfa } = mosaic;
  const size = cfa.length;
  const side = axis
    ? { length: height, across: width, down: width, right: 1 }
    : { length: width, across: height, down: 1, right: width };
  const { length, across } = side;
  if (length < k.lengthMin || across <= 8 * size) return [];
  const seen = partsOf(mosaic, noise, side, k);
  const found = [];
  for (const [sign, ways] of [
    [1, seen.brighter],
    [-1, seen.darker],
  ])
    for (let x = 2 * size; x < across - 2 * size; x++) {
      let [first, last, parts] = longest(ways, x, k);
      if (parts < k.partsMin) continue;
      const own = standsAlone(seen, x, first, last, k);
      if (!own || !alike(mosaic, side, seen, x, first, last, sign, k)) continue;
      // The parts in which it ends are off in a share of their values, those of a weak one a little.
      while (first > 0 && ways[first - 1][x] > k.endOneWay) first--;
      while (last < k.parts && ways[last][x] > k.endOneWay) last++;
      found.push({ line: { axis, place: x, start: seen.edges[first], stop: seen.edges[last] }, off: sign * own });
    }
  if (found.length > k.linesMax * across) return [];
  return found.filter((one) => !onlyBetween(one, found, 2 * size)).map(({ line }) => line);
}

/** What is seen of each part of each column, in DN, and the noise of a pixel of each. */
function partsOf({ data, black, white, cfa }, { shot, read }, { length, across, down, right }, k) {
  const size = cfa.length;
  const edges = Array.from({ length: k.parts + 1 }, (_, n) => Math.floor((length * n) / k.parts));
  const [brighter, darker, offs, levels] = [0, 1, 2, 3].map(() => edges.slice(1).map(() => new Float32Array(across)));
  let count = 0;
  for (let part = 0; part < k.parts; part++) {
    const lookedAt = placesOf(edges[part], edges[part + 1], size, k);
    count = lookedAt.length;
    for (const y of lookedAt)
      for (let x = 2 * size; x < across - 2 * size; x++) {
        const at = y * down + x * right;
        const [above, below] = besideOf(data, at, size * right);
        const beside = (above + below) / 2;
        offs[part][x] += data[at] - beside;
        levels[part][x] += beside;
        brighter[part][x] += Math.sign(data[at] - above);
        darker[part][x] += Math.sign(below - data[at]);
      }
    // Sums of whole numbers are exact, so that the shares are Python's.
    for (const sums of [brighter, darker, offs, levels]) for (let x = 0; x < across; x++) sums[part][x] /= count;
  }
  const dark = black.flat().reduce((sum, value) => sum + value, 0) / size ** 2;
  const span = white - dark;
  const [shotMost, readMost] = [Math.max(...shot), Math.max(...read)];
  const middles = (parts) => Float64Array.from({ length: across }, (_, x) => median(parts.map((values) => values[x])));
  const spread = middles(levels).map((level) => Math.sqrt(shotMost * Math.max((level - dark) / span, 0) + readMost) * span);
  const scatter = 1.4826 * median([...middles(offs).subarray(2 * size, across - 2 * size)].map(Math.abs));
  return { edges, count, brighter, darker, offs, spread, scatter };
}

/** How far a column is off; 0 where that is no more than noise explains, or than those that touch it are. */
function standsAlone({ offs, spread, scatter, count }, x, first, last, k) {
  const [before, own, after] = [x - 1, x, x + 1].map((at) =>
    Math.abs(median(offs.slice(first, last).map((values) => values[at]))),
  );
  const error = spread[x] / Math.sqrt(count * (last - first));
  const least = Math.max(k.offSigmas * spread[x], k.scatter * scatter);
  return own > least && Math.max(before, after) < k.beside * own + k.besideSigmas * error ? own : 0;
}

/** Whether a column is off in each place of the cell, or dead. */
function alike({ data, black, cfa }, { down, right }, { edges, spread }, x, first, last, sign, k) {
  const size = cfa.length;
  const [apart, own] = [Array.from({ length: size }, () => []), []];
  let rows = 0;
  for (let part = first; part < last; part++)
    for (const y of placesOf(edges[part], edges[part + 1], size, k)) {
      const at = y * down + x * right;
      const [above, below] = besideOf(data, at, size * right);
      apart[y % size].push(sign * (data[at] - (above + below) / 2));
      own.push(data[at]);
      rows++;
    }
  const offs = apart.map(median);
  const error = (k.alikeSigmas * spread[x]) / Math.sqrt(rows / size);
  const dead = sign < 0 && median(own) <= Math.max(...black.flat()) - 6 * spread[x];
  return dead || Math.min(...offs) + error >= k.alike * Math.max(...offs);
}

/** Whether a line is off only beside lines on both sides that are off more, the other way. */
function onlyBetween(one, found, reach) {
  const sides = new Set();
  for (const other of found) {
    const apart = other.line.place - one.line.place;
    if (!apart || Math.abs(apart) > reach) continue;
    if (other.off * one.off < 0 && Math.abs(other.off) > Math.abs(one.off)) sides.add(apart > 0);
  }
  return sides.size === 2;
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
