// Whether a camera has smoothed its noise before it wrote the file, and how much of it that hides.

import { groups, meanOf, quantile, rint } from "../statistics.js";

/**
 * The slow part of the noise over what second differences of neighbours show of it, as variances: 1 for white noise,
 * for X-Trans, and where a picture has too few blocks to tell or more texture than noise.
 */
export function smoothing(mosaic, constants) {
  const k = constants.smoothed;
  if (mosaic.cfa.length > 2) return 1;
  const { mean, squares, shared } = blocksOf(mosaic, k);
  if (mean.length < k.blocksMin) return 1;
  const noisy = [];
  for (const group of groups(mean, k.bins)) {
    const sorted = squares.map((of) => group.map((i) => of[i]).sort());
    const low = sorted.map((values) => quantile(values, k.flatQuantile));
    const still = quantile(sorted[0], k.quietShare);
    const quiet = group.filter((i) => squares[0][i] <= still);
    if (low[0] >= k.rounded && meanOf(quiet.map((i) => shared[i])) <= k.sharedMax) noisy.push(low);
  }
  if (noisy.length < k.noisyLeast) return 1;
  // Texture makes red what is white, and never the other way: the group that is least so counts.
  const [near, farther, far, farthest] = noisy.reduce((a, b) => (b[2] / b[0] < a[2] / a[0] ? b : a));
  if (far < k.redLeast * near || farthest > k.levelMax * far) return 1;
  return Math.max(1, slowPart(near, farther, far));
}

/** The slow part of noise over what second differences show, by their mean squares over 1, 2 and 3 values. */
function slowPart(near, farther, far) {
  const variance = far / 6;
  const second = (6 - farther / variance) / 8;
  const first = (6 + 2 * second - near / variance) / 8;
  const along = 1 + 2 * Math.max(first, 0) + 2 * Math.max(second, 0);
  return (far / near) * along ** 2;
}

/**
 * Of blocks of single colours, cut nowhere: the mean above black, by lag the mean square of second differences along
 * rows, and their mean correlation with those of the places of other colours in the cell: the two greens may share what
 * a camera has smoothed, as remosaiced quad sensors do.
 */
function blocksOf(mosaic, { block, blocksMax, lags, sharedLag }) {
  const { data, width, height, cfa, saturation } = mosaic;
  const size = cfa.length;
  const colours = cfa.flat();
  const step = Math.max(1, rint(Math.sqrt(data.length / (block * block) / blocksMax)));
  const [rows, columns] = [height, width].map((length) => Math.floor(Math.floor(length / size) / block));
  const [mean, shared] = [[], []];
  const squares = lags.map(() => []);
  const places = Array.from({ length: size * size }, () => new Float64Array(block * block));
  const isCut = (values) => values.some((value) => value <= 0 || value >= saturation);
  for (let row = 0; row < rows; row += step)
    for (let column = 0; column < columns; column += step) {
      places.forEach((values, place) => {
        const [dy, dx] = [Math.floor(place / size), place % size];
        for (let y = 0; y < block; y++)
          for (let x = 0; x < block; x++) {
            const at = ((row * block + y) * size + dy) * width + (column * block + x) * size + dx;
            values[y * block + x] = data[at];
          }
      });
      // What is cut in one place is left out in all, so that they can be held against each other.
      if (places.some(isCut)) continue;
      const over = places.map((values) => {
        const found = secondOver(values, block, sharedLag);
        const root = Math.sqrt(meanSquare(found) + 1e-9);
        return found.map((value) => value / root);
      });
      places.forEach((values, place) => {
        mean.push(meanOf(values) - mosaic.black[Math.floor(place / size)][place % size]);
        lags.forEach((lag, n) => squares[n].push(meanSquare(secondOver(values, block, lag))));
        const others = over.filter((_, other) => colours[other] !== colours[place]);
        const sums = over[place].map((_, i) => others.reduce((sum, found) => sum + found[i], 0));
        shared.push(meanOf(over[place].map((value, i) => (value * sums[i]) / others.length)));
      });
    }
  return { mean: Float64Array.from(mean), squares: squares.map((found) => Float64Array.from(found)), shared };
}

const meanSquare = (values) => values.reduce((sum, value) => sum + value * value, 0) / values.length;

/** Second differences over `lag` values along the rows of a block. */
function secondOver(values, block, lag) {
  const found = new Float64Array(block * (block - 2 * lag));
  let at = 0;
  for (let y = 0; y < block; y++)
    for (let x = y * block + lag; x < (y + 1) * block - lag; x++)
      found[at++] = values[x + lag] - 2 * values[x] + values[x - lag];
  return found;
}
