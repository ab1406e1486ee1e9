// Whether a camera has smoothed its noise before it wrote the file, and how much of it that hides.

import { groups, meanOf, quantile, rint } from "./statistics.js";

/**
 * The slow part of the noise over what second differences of neighbours show of it, as variances: 1 for white noise,
 * for X-Trans, and where a picture has too few blocks to tell or more texture than noise.
 */
export function smoothing(mosaic, constants) {
  const k = constants.smoothed;
  if (mosaic.cfa.length > 2) return 1;
  const { mean, squares } = blocksOf(mosaic, k);
  if (mean.length < k.blocksMin) return 1;
  const noisy = [];
  for (const group of groups(mean, k.bins)) {
    const sorted = squares.map((of) => group.map((i) => of[i]).sort());
    const low = sorted.map((values) => quantile(values, k.flatQuantile));
    if (low[0] >= k.rounded && quantile(sorted[0], 0.5) <= k.spreadMax * low[0]) noisy.push(low);
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

/** Of blocks cut nowhere the mean above black and, by lag, the mean square of second differences along rows. */
function blocksOf(mosaic, { block, blocksMax, lags }) {
  const { data, width, height, cfa, saturation } = mosaic;
  const size = cfa.length;
  const step = Math.max(1, rint(Math.sqrt(data.length / (block * block) / blocksMax)));
  const mean = [];
  const squares = lags.map(() => []);
  const values = new Float64Array(block * block);
  for (let dy = 0; dy < size; dy++)
    for (let dx = 0; dx < size; dx++) {
      const rows = Math.floor(Math.ceil((height - dy) / size) / block);
      const columns = Math.floor(Math.ceil((width - dx) / size) / block);
      for (let row = 0; row < rows; row += step)
        for (let column = 0; column < columns; column += step) {
          for (let y = 0; y < block; y++)
            for (let x = 0; x < block; x++) {
              const at = ((row * block + y) * size + dy) * width + (column * block + x) * size + dx;
              values[y * block + x] = data[at];
            }
          if (values.some((value) => value <= 0 || value >= saturation)) continue;
          mean.push(meanOf(values) - mosaic.black[dy][dx]);
          lags.forEach((lag, n) => squares[n].push(secondOver(values, block, lag)));
        }
    }
  return { mean: Float64Array.from(mean), squares: squares.map((found) => Float64Array.from(found)) };
}

/** Mean square of second differences over `lag` values along the rows of a block. */
function secondOver(values, block, lag) {
  let sum = 0;
  for (let y = 0; y < block; y++)
    for (let x = y * block + lag; x < (y + 1) * block - lag; x++)
      sum += (values[x + lag] - 2 * values[x] + values[x - lag]) ** 2;
  return sum / (block * (block - 2 * lag));
}
