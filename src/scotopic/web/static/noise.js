// How noisy a picture is: from the file where it says so, else from a table by camera, else from the picture.

import { ownShares } from "./sensor/own_noise.js";
import { smoothing } from "./sensor/smoothed.js";
import { groups, meanOf, median, quantile } from "./statistics.js";

const GREEN = 1;

/**
 * {profile: {shot, read, source}, warning}: the noise of a picture from the best source there is.
 *
 * In this order: the file's NoiseProfile; the table by camera and ISO; a blind fit. The first two are overruled,
 * with a word why, where the picture contradicts them strongly.
 */
export function estimate(mosaic, constants) {
  const blocks = allBlocks(mosaic, constants);
  const warnings = [];
  const told = mosaic.noise && { source: "the file's NoiseProfile tag", ...mosaic.noise };
  for (const stated of [told, fromTable(mosaic, constants)]) {
    if (!stated) continue;
    const against = contradiction(mosaic, blocks, stated, constants);
    if (!against) return { profile: stated, warning: warnings.join("; ") };
    warnings.push(against);
  }
  if (warnings.length) warnings.push("measured noise is used");
  return { profile: blindFit(mosaic, blocks, constants), warning: warnings.join("; ") };
}

/** What published calibrations say of this camera at this ISO; null where they do not know it. */
export function fromTable(mosaic, constants) {
  const { iso, make = "", model = "" } = mosaic;
  if (!iso) return null;
  const name = plainName(`${make} ${model}`);
  const knows = (c) => c.names.includes(name) && iso >= c.iso[0] && iso <= c.iso[c.iso.length - 1];
  const camera = constants.noise.cameras.find(knows);
  if (!camera) return null;
  // The same camera writes 12 or 14 bits.
  const scale = 2 ** Math.round(Math.log2((mosaic.white + 1) / (camera.whiteDn + 1)));
  const span = spanOf(mosaic);
  const shot = (between(camera.iso, camera.gain, iso) * scale) / span;
  const readStd = between(camera.iso, camera.readStd, iso) * scale;
  const read = (readStd ** 2 + constants.noise.quantisationVarianceDn2) / span ** 2;
  return profile(shot, read, `table: ${make} ${model} at ISO ${iso}, ${camera.source}`);
}

/** Fit variance = shot * x + read to the flattest blocks of the picture, all colours alike. */
export function blindFit(mosaic, blocks, constants) {
  const k = constants.noise;
  const quantum = quantumOf(mosaic, k);
  const source = "measured on the picture";
  if (blocks.mean.length < k.blocksMin) return profile(1 / spanOf(mosaic), quantum, source);
  const told = Math.max(1, constants.smoothed.slowShare * blocks.smoothed);
  const own = ownOf(mosaic, blocks, k);
  const variance = blocks.variance.map((v, i) => v * own[i]);
  const [levels, variances, weights] = flatPoints({ mean: blocks.mean, variance }, k);
  let [shot, read] = fitLine(levels, variances, weights, k).map((value) => told * value);
  if (mosaic.iso >= k.isoLeast) {
    [shot, read] = withLeastShot(levels, shot, read, mosaic.iso, k);
    if (mosaic.white > k.deepWhiteDn) shot = Math.min(shot, k.shotMaxPerIso * mosaic.iso);
  }
  return profile(Math.max(shot, k.shotMin), Math.max(read, quantum), source);
}

/**
 * The variance that the picture's flattest blocks show over what a profile says of them; null where there are
 * too few to say, or where the picture shows more, but as texture does.
 */
export function shownOverStated(mosaic, blocks, stated, constants) {
  const k = constants.noise;
  const { mean, variance } = blocks;
  if (mean.length < k.blocksMin) return null;
  const shot = meanOf(stated.shot);
  const read = meanOf(stated.read);
  // Both may be none: a picture of a simulator, black clipped at 0, a profile that says so. They agree then.
  const least = k.shownLeast * quantumOf(mosaic, k);
  const said = mean.map((x) => Math.max(shot * Math.max(x, 0) + read, least));
  const relative = variance.map((v, i) => Math.max(Math.max(v, least) / said[i], k.shownLeast));
  const alike = groups(mean, k.bins);
  const { low, lower } = lowestOf(alike, relative, k);
  const factor = (low / k.flatFactor) * blocks.smoothed;
  if (factor <= k.disagreement) return factor;
  if (lower > k.textureSpread * low) return null;
  const own = ownOf(mosaic, blocks, k);
  const alone = relative.map((value, i) => value * own[i]);
  const found = lowestOf(alike, alone, k);
  const flat = found.group.filter((i) => alone[i] <= found.lower);
  const without = (found.low / k.flatFactor) * blocks.smoothed;
  const share = median(flat.map((i) => own[i]));
  const texture = k.leftOver * (1 - share);
  return without * (share - texture) > k.disagreement * share ? without : null;
}

/** The least of the groups' flat quantiles, that group's at three times the share, and the group. */
function lowestOf(alike, relative, { flatQuantile }) {
  let found = { low: Infinity };
  for (const group of alike) {
    const sorted = group.map((i) => relative[i]).sort();
    const low = quantile(sorted, flatQuantile);
    if (low < found.low) found = { low, lower: quantile(sorted, 3 * flatQuantile), group };
  }
  return found;
}

/**
 * The share of the blocks' variance that is noise; it is worked out where it is asked for, once. All of X-Trans, and of
 * floats, most of them finished colours sampled back.
 */
function ownOf(mosaic, blocks, k) {
  const told = blocks.at && !(mosaic.data instanceof Float32Array);
  blocks.own ??= told ? ownShares(mosaic, blocks, k) : new Float64Array(blocks.mean.length).fill(1);
  return blocks.own;
}

function contradiction(mosaic, blocks, stated, constants) {
  const { disagreement } = constants.noise;
  const factor = shownOverStated(mosaic, blocks, stated, constants);
  if (factor === null || (factor >= 1 / disagreement && factor <= disagreement)) return "";
  const times = (1 / factor).toPrecision(2);
  return `${stated.source} gives ${times} times the variance that the picture shows`;
}

/** The sensor's range in DN. */
const spanOf = (mosaic) => mosaic.white - meanOf(mosaic.black.flat());

/** The variance of rounding to whole DN. */
const quantumOf = (mosaic, k) => k.quantisationVarianceDn2 / spanOf(mosaic) ** 2;

/**
 * Mean and noise variance of the blocks of all colours, of X-Trans of green squares, and how far smoothing hides the noise
 * ({mean, variance, smoothed}).
 */
export function allBlocks(mosaic, constants) {
  const k = constants.noise;
  const found = mosaic.cfa.length > 2 ? squareStatistics(mosaic, k) : blockStatistics(mosaic, k);
  return { ...found, smoothed: smoothing(mosaic, constants) };
}

/**
 * Of each block of one colour that is not clipped at saturation ({mean, variance, at, quiet}: `at` its first value in
 * the mosaic, `quiet` its quiet rows, a bit each, none where it was cut); of large pictures every second, third, ... row of
 * blocks. Those cut at 0 DN are put right as Python's are.
 */
function blockStatistics(mosaic, constants) {
  const { block, blocksMax, clippedMax, cutMax, quietRows, flatFactor, wholeFactor } = constants;
  const { data, width, cfa, saturation } = mosaic;
  const step = Math.max(1, Math.floor(Math.floor(data.length / (block * block)) / blocksMax));
  const size = cfa.length;
  const rows = [...Array(size).keys()].map((d) => Math.floor(Math.ceil((mosaic.height - d) / size) / block));
  const columns = [...Array(size).keys()].map((d) => Math.floor(Math.ceil((width - d) / size) / block));
  const most = rows.reduce((a, b) => a + b) * columns.reduce((a, b) => a + b);
  const mean = new Float64Array(most);
  const variance = new Float64Array(most);
  const at = new Uint32Array(most);
  const quietRowsOf = new Uint16Array(most);
  const clippedLimit = clippedMax * block * block;
  const [sums, squares] = [new Float64Array(block), new Float64Array(block)];
  let found = 0;
  for (let dy = 0; dy < size; dy++)
    for (let dx = 0; dx < size; dx++) {
      const black = mosaic.black[dy][dx];
      const scale = 1 / (mosaic.white - black);
      for (let row = 0; row < rows[dy]; row += step)
        for (let column = 0; column < columns[dx]; column++) {
          sums.fill(0);
          squares.fill(0);
          let [high, zeros] = [0, 0];
          const first = (row * block * size + dy) * width + column * block * size + dx;
          for (let y = 0; y < block; y++) {
            let place = first + y * size * width;
            let last = 0;
            let before = 0;
            for (let x = 0; x < block; x++, place += size) {
              const value = data[place];
              if (value === 0) zeros++;
              if (value >= saturation) high++;
              sums[y] += value;
              if (x > 1) {
                const second = value - 2 * last + before;
                squares[y] += second * second;
              }
              before = last;
              last = value;
            }
          }
          if (high >= clippedLimit || zeros > cutMax * block * block) continue;
          const isCut = zeros >= clippedLimit;
          const rowsOf = quietest(squares, quietRows);
          const quiet = ofRows(rowsOf, sums, squares);
          const level = isCut ? (meanOf(squares) * flatFactor) / wholeFactor : quiet[1];
          at[found] = first;
          quietRowsOf[found] = isCut ? 0 : rowsOf.reduce((bits, y) => bits | (1 << y), 0);
          mean[found] = (quiet[0] / block - black) * scale;
          variance[found] = ((level / (block - 2)) * scale * scale) / 6;
          if (isCut) {
            const seen = (meanOf(sums) / block) * scale;
            const whole = putRight(seen, variance[found], zeros / (block * block), black * scale, constants);
            if (!whole) continue;
            [mean[found], variance[found]] = whole;
          }
          found++;
        }
    }
  const [means, variances, places, quiet] = [mean, variance, at, quietRowsOf].map((of) => of.subarray(0, found));
  return { mean: means, variance: variances, at: places, quiet };
}

/**
 * Mean and variance of a block as it was before it was cut at 0 DN, which lies `black` below black; null where its zeros are
 * no cut. `seen` is its mean above 0 DN, `zeros` their share.
 */
function putRight(seen, variance, zeros, black, { block, cutNormal, cutSeenMax }) {
  const [sigmas, share, mean] = cutNormal[Math.round(zeros * block * block)];
  const whole = variance / share;
  return seen <= cutSeenMax * mean * Math.sqrt(whole) ? [sigmas * Math.sqrt(whole) - black, whole] : null;
}

/**
 * The same from the squares of four greens, of which each X-Trans cell has four: one colour's places are six
 * pixels apart, and much texture lies between.
 */
function squareStatistics(mosaic, constants) {
  const { squareBlock, clippedMax, cutMax, flatFactor, squareFactor, wholeSquaresFactor, quietRows } = constants;
  const { data, width, cfa, saturation } = mosaic;
  const size = cfa.length;
  const places = [];
  for (let dy = 0; dy < size; dy++)
    for (let dx = 0; dx < size; dx++)
      if ([0, 1].every((i) => [0, 1].every((j) => cfa[(dy + i) % size][(dx + j) % size] === GREEN)))
        places.push([dy, dx]);
  const [rows, columns] = [mosaic.height, width].map((n) => Math.floor((Math.floor(n / size) - 1) / squareBlock));
  const mean = [];
  const variance = [];
  if (rows <= 0 || columns <= 0 || !places.length) return { mean: new Float64Array(0), variance: new Float64Array(0) };
  const values = squareBlock * places.length;
  const greens = mosaic.black.flatMap((row, y) => row.filter((_, x) => cfa[y][x] === GREEN));
  const below = meanOf(greens.map((black) => black / (mosaic.white - black)));
  const [sums, squares] = [new Float64Array(squareBlock), new Float64Array(squareBlock)];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      sums.fill(0);
      squares.fill(0);
      let [high, zeros] = [0, 0];
      for (const [dy, dx] of places) {
        const corners = [0, 1, 2, 3].map((n) => {
          const [y, x] = [dy + (n >> 1), dx + (n & 1)];
          const black = mosaic.black[y % size][x % size];
          return [y * width + x, black, 1 / (mosaic.white - black)];
        });
        for (let y = 0; y < squareBlock; y++)
          for (let x = 0; x < squareBlock; x++) {
            const at = (row * squareBlock + y) * size * width + (column * squareBlock + x) * size;
            let twist = 0;
            for (let n = 0; n < 4; n++) {
              const [place, black, scale] = corners[n];
              const counted = data[at + place];
              const value = (counted - black) * scale;
              if (counted === 0) zeros++;
              if (counted >= saturation) high++;
              twist += n === 1 || n === 2 ? -value : value;
              sums[y] += value;
            }
            squares[y] += (twist * twist) / 4;
          }
      }
      const [tooHigh, atZero] = [high, zeros].map((count) => count / values / squareBlock / 4);
      if (tooHigh >= clippedMax || atZero > cutMax) continue;
      const [sum, level] = ofRows(quietest(squares, quietRows), sums, squares);
      // Other blocks vary otherwise by chance: brought to what the flat factor expects.
      let found = [sum / values / 4, (level / values) * (flatFactor / squareFactor)];
      if (atZero >= clippedMax) {
        const [seen, all] = [meanOf(sums) / values / 4 + below, meanOf(squares) / values];
        found = putRight(seen, all * (flatFactor / wholeSquaresFactor), atZero, below, constants);
        if (!found) continue;
      }
      mean.push(found[0]);
      variance.push(found[1]);
    }
  return { mean: Float64Array.from(mean), variance: Float64Array.from(variance) };
}

/** The quietest rows of a block. */
function quietest(squares, share) {
  const count = Math.floor(share * squares.length);
  return [...squares.keys()].sort((a, b) => squares[a] - squares[b]).slice(0, count);
}

/** The means of some rows' sums and squares. */
function ofRows(rows, sums, squares) {
  return [sums, squares].map((values) => rows.reduce((sum, row) => sum + values[row], 0) / rows.length);
}

/** For each group of like brightness: its mean, the variance of its flat blocks, and a weight. */
function flatPoints({ mean, variance }, k) {
  const [xs, vs, ws] = [[], [], []];
  for (const group of groups(mean, k.bins)) {
    xs.push(quantile(group.map((i) => mean[i]).sort(), 0.5));
    vs.push(quantile(group.map((i) => variance[i]).sort(), k.flatQuantile) / k.flatFactor);
    ws.push(Math.sqrt(group.length));
  }
  return [xs, vs, ws];
}

/** Non-negative weighted least squares of v = shot * x + read in relative error, near the lower edge. */
function fitLine(means, v, weight, { fitRounds, aboveWeight, farAbove }) {
  const x = means.map((m) => Math.max(m, 0));
  const sorted = Float64Array.from(v).sort();
  let [shot, read] = [0, quantile(sorted, 0.5)];
  for (let round = 0; round < fitRounds; round++) {
    let [xx, xo, oo, xv, ov] = [0, 0, 0, 0, 0];
    let [vw, ww] = [0, 0];
    for (let i = 0; i < x.length; i++) {
      const line = Math.max(shot * x[i] + read, 1e-14);
      const above = Math.sqrt(aboveWeight) * Math.min(1, (farAbove * line) / v[i]);
      const w = (weight[i] * (v[i] > line ? above : 1)) / line;
      const [a, b, c] = [x[i] * w, w, v[i] * w];
      xx += a * a;
      xo += a * b;
      oo += b * b;
      xv += a * c;
      ov += b * c;
      vw += c * w;
      ww += w * w;
    }
    const [lone, level] = [xx > 0 ? xv / xx : 0, vw / ww];
    const determinant = xx * oo - xo * xo;
    if (xx > 0 && determinant > 1e-14 * xx * oo) {
      shot = (xv * oo - ov * xo) / determinant;
      read = (ov * xx - xv * xo) / determinant;
    } else [shot, read] = [0, level];
    if (shot < 0) [shot, read] = [0, level];
    if (read < 0) [shot, read] = [lone, 0];
  }
  return [shot, read];
}

/**
 * The same line, but in an even picture, where levels are too much alike to tell its slope, no flatter than sensors are;
 * its variance at the picture's own level, which is known, stays.
 */
function withLeastShot(levels, shot, read, iso, { shotLeastPerIso, even }) {
  const [quarter, middle, threeQuarters] = [1, 2, 3].map((n) => levels[Math.floor((n * levels.length) / 4)]);
  if (!(threeQuarters > 0 && threeQuarters <= even * quarter)) return [shot, read];
  const variance = shot * middle + read;
  const least = Math.min(shotLeastPerIso * iso, variance / middle);
  return shot >= least ? [shot, read] : [least, variance - least * middle];
}

/** A value at `at` on straight lines in logarithms through the points. */
function between(xs, ys, at) {
  let right = xs.findIndex((x) => x >= at);
  if (right < 1) right = 1;
  const [x0, x1] = [Math.log(xs[right - 1]), Math.log(xs[right])];
  const [y0, y1] = [Math.log(ys[right - 1]), Math.log(ys[right])];
  return Math.exp(y0 + ((y1 - y0) * (Math.log(at) - x0)) / (x1 - x0));
}

/** A name without case, spaces and a maker said twice. */
function plainName(name) {
  const words = name.toLowerCase().replaceAll("corporation", " ").split(/\s+/).filter(Boolean);
  return [...new Set(words)].join(" ");
}

function profile(shot, read, source) {
  return { shot: [shot, shot, shot], read: [read, read, read], source };
}
