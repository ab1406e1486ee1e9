// A lens's lateral colour: how far red and blue lie beside green, told by the mosaic itself.

import { inverse } from "../matrix.js";
import { meanOf, median } from "../statistics.js";
import { patternOf } from "./pattern.js";

const [RED, GREEN, BLUE] = [0, 1, 2];

/** What a shift's four numbers are multiplied by at a place to give pixels down and right. */
function terms(down, right) {
  const square = down * down + right * right;
  return [
    [1, 0, down, square * down],
    [0, 1, right, square * right],
  ];
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/**
 * Where red and blue of a mosaic lie beside green: {red, blue}, each pixels down, right, and outwards in the corners
 * in proportion to the distance from the middle and to its cube; null where they lie upon it, or nobody can tell.
 */
export function lateralColour(mosaic, noise, constants) {
  const { sensor } = patternOf(mosaic.cfa, constants);
  const { block, noiseShares, ...rest } = constants.lateral;
  const k = { ...rest, block: block[sensor], noiseShares: noiseShares[sensor] };
  if (Math.min(mosaic.height, mosaic.width) < k.block + 2 * k.around) return null;
  const blocks = wholeBlocks(mosaic, noise, k, constants.enhance.noLightSigmas);
  // One green lies beside the other where edges stand alike upon all pixels (print, a chart's squares): they would be told
  // of red and blue as well.
  const greens = lensOf(mosaic, noise, GREEN, blocks, k);
  if (!greens || greens.some(Boolean)) return null;
  const [red, blue] = [RED, BLUE].map((colour) => lensOf(mosaic, noise, colour, blocks, k) ?? [0, 0, 0, 0]);
  return red.some(Boolean) || blue.some(Boolean) ? { red, blue } : null;
}

/** Red and blue, as far as they lie beside green. */
export const coloursOf = (lateral) => (lateral ? [RED, BLUE].filter((c) => (c === RED ? lateral.red : lateral.blue).some(Boolean)) : []);

/** Corners [row, column] of blocks, evenly spread, that hold no lamp and nothing too dark to be light. */
function wholeBlocks({ data, height, width, cfa, saturation, white, black }, { read }, k, sigmas) {
  const [side, cell] = [k.block + 2 * k.around, cfa.length];
  const lengths = [height, width];
  const most = lengths.map((n) => Math.floor((n - side) / k.block) + 1);
  const share = Math.min(1, Math.sqrt(k.blocksMax / (most[0] * most[1])));
  const [rows, columns] = lengths.map((n, axis) => {
    const [count, last] = [Math.max(1, Math.floor(most[axis] * share)), Math.floor((n - side) / cell)];
    const step = last / Math.max(1, count - 1);
    return Array.from({ length: count }, (_, i) => cell * Math.trunc(i && i === count - 1 ? last : i * step));
  });
  const limit = k.saturated * saturation;
  const reach = (white - meanOf(black.flat())) * Math.max(sigmas * Math.sqrt(Math.max(...read)), k.void);
  const dark = black.map((row) => row.map((value) => value - reach));
  const isWhole = (top, left) => {
    for (let y = top; y < top + side; y++)
      for (let x = left, at = y * width + left; x < left + side; x++, at++)
        if (data[at] >= limit || data[at] <= dark[y % cell][x % cell]) return false;
    return true;
  };
  return rows.flatMap((top) => columns.filter((left) => isWhole(top, left)).map((left) => [top, left]));
}

/**
 * How far a colour lies beside green, or of greens the first beside the other: four numbers, zeros where that is nothing;
 * null where nobody can tell.
 */
function lensOf(mosaic, noise, colour, blocks, k) {
  const { height, width, cfa } = mosaic;
  const cell = cfa.length;
  const asked = sitesOf(cfa, colour);
  const fittedBy = cfa.map((row, y) => row.map((c, x) => c === GREEN && !asked[y][x]));
  const sites = asked.flatMap((row, y) => row.flatMap((of, x) => (of ? [[y, x]] : [])));
  const half = Math.hypot(height, width) / 2;
  const middleOf = (corner, axis) => {
    const place = corner + meanOf(sites.map((site) => site[axis])) + k.around + (k.block - cell) / 2;
    return (place - ([height, width][axis] - 1) / 2) / half;
  };
  let left = blocks.map(([top, start]) => ({
    corner: [top, start],
    terms: terms(middleOf(top, 0), middleOf(start, 1)),
    values: withoutMean(
      at(sites, cell, k, (y, x) => {
        const value = mosaic.data[(top + k.around + y) * width + start + k.around + x];
        return value - mosaic.black[(y + k.around) % cell][(x + k.around) % cell];
      }),
    ),
  }));
  let lens = [0, 0, 0, 0];
  let found = null;
  for (let n = 0; n < k.steps; n++) {
    const told = left.map((block) => {
      const moved = block.terms.map((row) => dot(row, lens));
      return { block, moved, ...toldBy(mosaic, noise, block, moved, { sites, fittedBy }, k) };
    });
    const good = told.filter((of) => of.shows);
    const sure = good.filter((of) => of.steps);
    if (good.length < k.blocksLeast || sure.length < k.blocksLeast) return null;
    left = good.map((of) => of.block);
    const rows = [0, 1].flatMap((axis) =>
      sure.map((of) => ({
        terms: of.block.terms[axis],
        told: k.step * of.steps[axis] + of.moved[axis],
        variance: of.variances[axis],
      })),
    );
    found = fitted(rows, k);
    ({ lens } = found);
  }
  const error = inverted(found.normal).map((row) => row.map((value) => value * found.spread ** 2));
  const [far, unsure] = overThePicture([lens.map((a) => lens.map((b) => a * b)), error], height, width);
  return far < Math.max(k.least, k.leastErrors * unsure) ? [0, 0, 0, 0] : lens;
}

/** The places of a cell that are asked of a colour; of greens those that are held against the others. */
function sitesOf(cfa, colour) {
  const cell = cfa.length;
  if (colour !== GREEN) return cfa.map((row) => row.map((c) => c === colour));
  const first = cfa[0].indexOf(GREEN);
  if (cell === 2) return [[first === 0, first === 1], [false, false]];
  // X-Trans's greens between other colours on all four sides, in the middle of the others.
  const beside = [[-1, 0], [1, 0], [0, -1], [0, 1]];
  const alone = (y, x) => beside.every(([dy, dx]) => cfa[(y + dy + cell) % cell][(x + dx + cell) % cell] !== GREEN);
  return cfa.map((row, y) => row.map((c, x) => c === GREEN && alone(y, x)));
}

/** What stands at those places of a block's cells. */
function at(sites, cell, { block }, value) {
  const values = new Float64Array(sites.length * (block / cell) ** 2);
  let n = 0;
  for (const [first, second] of sites)
    for (let y = first; y < block; y += cell)
      for (let x = second; x < block; x += cell) values[n++] = value(y, x);
  return values;
}

function withoutMean(values) {
  const mean = meanOf(values);
  return values.map((value) => value - mean);
}

/**
 * What a block tells beyond what green is moved by: {shows} where it has slopes, and with {steps, variances}, pixels down
 * and right and how sure these are, where the colour surely follows green.
 */
function toldBy(mosaic, noise, { corner, values }, moved, places, k) {
  const count = values.length;
  const span = mosaic.white - meanOf(mosaic.black.flat());
  const { seen, down, right } = greenOf(mosaic, corner, moved, places, k);
  const light = Math.max(meanOf(seen) / span, 0);
  const variance = (noise.shot[GREEN] * light + noise.read[GREEN]) * span * span * count;
  const fitting = [seen, down, right].map(withoutMean);
  const squares = fitting.map((a) => fitting.map((b) => dot(a, b)));
  const clean = squares.map((row, i) => row.map((value, j) => value - (i === j ? k.noiseShares[i] * variance : 0)));
  if (!isAbove(clean, k.shows * variance)) return { shows: false };
  const inverted = inverse(clean);
  const products = fitting.map((a) => dot(a, values));
  const follows = inverted.map((row) => dot(row, products));
  const explained = dot(follows, squares.map((row) => dot(row, follows)));
  const rest = Math.max(dot(values, values) + explained - 2 * dot(follows, products), 1e-30) / (count - 4);
  const errors = inverted.map((row) => dot(row, squares.map((of) => dot(of, row))) * rest);
  const [peer] = follows;
  const steps = [-follows[1] / peer, -follows[2] / peer];
  const sure = peer > k.peerLeast && peer ** 2 > k.sure ** 2 * errors[0] && steps.every((s) => Math.abs(s) < k.farthest);
  if (!sure) return { shows: true };
  return { shows: true, steps, variances: [1, 2].map((i) => errors[i] / peer ** 2 + k.blockError ** 2) };
}

/** Green at the places that are asked of a block, from the others, moved, and its slopes down and right. */
function greenOf({ data, width, cfa, black }, [top, left], moved, { sites, fittedBy }, k) {
  const [cell, side, wide] = [cfa.length, k.block + 2 * k.around, k.block + 2];
  const [light, mask] = [new Float64Array(side * side), new Float64Array(side * side)];
  for (let y = 0, i = 0; y < side; y++)
    for (let x = 0; x < side; x++, i++) {
      if (!fittedBy[y % cell][x % cell]) continue;
      light[i] = data[(top + y) * width + left + x] - black[y % cell][x % cell];
      mask[i] = 1;
    }
  // One pixel more on all sides, for slopes.
  const weights = moved.map((by) => Array.from({ length: wide }, (_, i) => weightsAround(i - 1 + k.around - by, side)));
  const around = asked(light, weights, side, wide);
  // Green that alternates weighs the same wherever it is asked.
  const weighs = cell === 2 ? null : asked(mask, weights, side, wide);
  const same = meanOf(fittedBy.flat().map(Number));
  // Moved far beyond what is read of a block nothing weighs.
  for (let i = 0; i < around.length; i++) around[i] /= weighs ? Math.max(weighs[i], k.tiny) : same;
  const of = (y, x) => around[(y + 1) * wide + x + 1];
  return {
    seen: at(sites, cell, k, of),
    down: at(sites, cell, k, (y, x) => (of(y + 1, x) - of(y - 1, x)) / 2),
    right: at(sites, cell, k, (y, x) => (of(y, x + 1) - of(y, x - 1)) / 2),
  };
}

/** Values of a block asked between their places, a square of `wide` each way, first down and then right. */
function asked(values, [rows, columns], side, wide) {
  const found = new Float64Array(wide * wide);
  const line = new Float64Array(side);
  for (let y = 0; y < wide; y++) {
    line.fill(0);
    for (const [place, weight] of rows[y])
      for (let x = 0, i = place * side; x < side; x++, i++) line[x] += weight * values[i];
    for (let x = 0; x < wide; x++) {
      let sum = 0;
      for (const [place, weight] of columns[x]) sum += weight * line[place];
      found[y * wide + x] = sum;
    }
  }
  return found;
}

/** Which values stand around a place between them, and how much each weighs: what alternates with them goes. */
function weightsAround(place, side) {
  const first = Math.floor(place) - 1;
  return [0, 1, 2, 3]
    .map((n) => [first + n, Math.max(2 - Math.abs(place - first - n), 0) / 4])
    .filter(([at, weight]) => weight && at >= 0 && at < side);
}

/** Whether a matrix of three rows lies above so many times the unit. */
function isAbove(matrix, least) {
  const [[a, b, c], [, d, e], [, , f]] = matrix.map((row, i) => row.map((value, j) => value - (i === j ? least : 0)));
  const two = a * d - b * b;
  return a > 0 && two > 0 && two * f - a * e * e + 2 * b * c * e - d * c * c > 0;
}

/** The lens that fits best what blocks tell, outliers weighed less: {lens, spread, normal}. */
function fitted(rows, { expected }) {
  let weights = rows.map((row) => 1 / row.variance);
  let found = null;
  for (let n = 0; n < 6; n++) {
    const normal = expected.map((std, i) =>
      expected.map((_, j) =>
        rows.reduce((sum, row, r) => sum + weights[r] * row.terms[i] * row.terms[j], i === j ? 1 / (std * std) : 0),
      ),
    );
    const product = expected.map((_, i) => rows.reduce((sum, row, r) => sum + weights[r] * row.terms[i] * row.told, 0));
    const lens = inverted(normal).map((row) => dot(row, product));
    const off = rows.map((row) => Math.abs(row.told - dot(row.terms, lens)) / Math.sqrt(row.variance));
    const spread = Math.max(1.4826 * median(off), 1);
    weights = rows.map((row, r) => 1 / (1 + (off[r] / (2 * spread)) ** 2) / row.variance);
    found = { lens, spread, normal };
  }
  return found;
}

/** The inverse of a matrix that is positive definite. */
function inverted(matrix) {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < size; i++) {
    const by = rows[i][i];
    rows[i] = rows[i].map((value) => value / by);
    for (let j = 0; j < size; j++) {
      if (j === i) continue;
      const times = rows[j][i];
      rows[j] = rows[j].map((value, n) => value - times * rows[i][n]);
    }
  }
  return rows.map((row) => row.slice(size));
}

/** Roots of what squares of shifts (4x4) come to in the mean over a picture. */
function overThePicture(squares, height, width) {
  const [steps, size] = [21, Math.hypot(height, width)];
  const along = (n) => Array.from({ length: steps }, (_, i) => ((2 * i) / (steps - 1) - 1) * (n / size));
  const sums = squares.map(() => 0);
  for (const down of along(height))
    for (const right of along(width))
      for (const row of terms(down, right))
        squares.forEach((square, n) => {
          sums[n] += dot(row, square.map((of) => dot(of, row)));
        });
  return sums.map((sum) => Math.sqrt(sum / steps ** 2));
}
