// Black that is stated too high, told by the picture: light is never negative. Mirrors `scotopic.sensor.black`.

import { meanOf, median, rint } from "../statistics.js";

/** By how much black lies below the one stated at each place of a Bayer mosaic's cell, in DN: rows of numbers. */
export function blackLowered(mosaic, noise, { black: k }) {
  if (mosaic.cfa.length !== 2) return mosaic.black.map((row) => row.map(() => 0));
  const found = mosaic.black.map((row, y) =>
    row.map((black, x) => {
      const sigma = Math.sqrt(noise.read[mosaic.cfa[y][x]]) * (mosaic.white - black);
      return depthOf(placeOf(mosaic, y, x), black, sigma, k);
    }),
  );
  // What one place proves is believed of all, so that those alike, as the two greens, are treated alike.
  const share = Math.max(...found.flat().map((place) => shareOf(place, k)));
  return found.map((row) => row.map(({ depth }) => Math.max(depth, 0) * share));
}

/** The mosaic with its black lower by so many DN at each place of the cell; itself where that is nothing. */
export function withBlackLowered(mosaic, by) {
  if (!by.flat().some((n) => n > 0)) return mosaic;
  return { ...mosaic, black: mosaic.black.map((row, y) => row.map((black, x) => black - by[y][x])) };
}

/** The values of one place of the cell: {height, width, at(y, x)}. */
function placeOf({ data, height, width }, top, left) {
  return {
    height: Math.ceil((height - top) / 2),
    width: Math.ceil((width - left) / 2),
    at: (y, x) => data[(2 * y + top) * width + 2 * x + left],
  };
}

/** The share of a depth by which black is lowered. */
function shareOf({ depth, limit }, k) {
  return depth > limit ? Math.min((1 - limit / depth) / (1 - 1 / k.wholeFrom), 1) : 0;
}

/** {depth, limit}: by how much the black of one place's values seems to lie below the one stated, and what it has to
 * exceed as proof. */
function depthOf(values, black, sigma, k) {
  const [height, width] = [values.height, values.width].map((n) => Math.floor(n / k.block));
  if (Math.min(height, width) < k.linesLeast) return { depth: 0, limit: 0 };
  let step = 1;
  while (step < k.stepMax && values.height * values.width > k.values * step) step *= 2;
  const means = [];
  for (let row = 0; row < height; row++) {
    means.push([]);
    for (let column = 0; column < width; column++) {
      let [sum, least] = [0, Infinity];
      for (let y = 0; y < k.block; y += step)
        for (let x = 0; x < k.block; x++) {
          const value = values.at(row * k.block + y, column * k.block + x);
          sum += value;
          if (value < least) least = value;
        }
      const isVoid = least < black - k.voidSigmas * sigma;
      means[row].push(isVoid ? Infinity : (sum * step) / (k.block * k.block) - black);
    }
  }
  const columns = means[0].map((_, column) => means.map((row) => row[column]));
  const down = lowest(columns, (line, place) => squareAt(values, place, line, step, k), k);
  const along = lowest(means, (line, place) => squareAt(values, line, place, step, k), k);
  const { low, error } = along.low > down.low ? along : down;
  return { depth: -low, limit: Math.max(k.errors * error, k.leastSigmas * sigma) };
}

/** The rows that are looked at of a square. */
function squareAt(values, row, column, step, k) {
  return Array.from({ length: k.block / step }, (_, y) =>
    Array.from({ length: k.block }, (_, x) => values.at(row * k.block + y * step, column * k.block + x)),
  );
}

/** {low, error}: the mean of black by the darkest square of each line, less what the least of so many is lower than their
 * mean if all are black; and its standard error. */
function lowest(lines, squareOf, k) {
  const found = lines.map((line, number) => {
    const mean = Math.min(...line);
    return { mean, number, place: line.indexOf(mean) };
  });
  found.sort((a, b) => a.mean - b.mean || a.number - b.number);
  const darkest = found.slice(0, Math.max(3, rint(k.darkShare * found.length)));
  const middle = median(darkest.map(({ mean }) => mean));
  if (middle >= 0) return { low: middle, error: 0 };
  const errors = darkest.map(({ number, place }) => errorOf(squareOf(number, place)));
  const error = median(errors);
  const least = k.leastOfNormal[Math.min(lines[0].length, k.leastOfNormal.length - 1)];
  return { low: middle - least * error, error: (k.errorOfMedian * error) / Math.sqrt(darkest.length) };
}

/** Of a square's mean. The noise of rows and columns does not average out along them. */
function errorOf(square) {
  const ofColumns = variance(square[0].map((_, x) => meanOf(square.map((row) => row[x]))));
  const pixels = variance(square.flat()) / square.flat().length;
  const both = variance(square.map(meanOf)) / square.length + ofColumns / square[0].length - pixels;
  return Math.sqrt(Math.max(both, pixels));
}

function variance(values) {
  const mean = meanOf(values);
  return meanOf(values.map((value) => (value - mean) ** 2));
}
