// Middles, quantiles and rounding, as numpy has them.

/** To the nearest integer, halves to the even one as numpy does. */
export function rint(x) {
  const below = Math.floor(x);
  const rest = x - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** The mean of an array of numbers. */
export function meanOf(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** The quantile of sorted values, on a straight line between neighbours. */
export function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

/** The median of an array of numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The same of many values of 0 or more (Float32Array), without sorting them all. */
export function medianOfMany(values) {
  // Of floats above 0 the larger has the larger bits: two rounds of counting find the place.
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const at = (rank) => {
    let left = rank;
    const find = (counts) => {
      let n = 0;
      while (left >= counts[n]) left -= counts[n++];
      return n;
    };
    const counts = new Uint32Array(65536);
    for (const b of bits) counts[b >>> 16]++;
    const high = find(counts);
    counts.fill(0);
    for (const b of bits) if (b >>> 16 === high) counts[b & 65535]++;
    const found = Uint32Array.of(high * 65536 + find(counts));
    return new Float32Array(found.buffer)[0];
  };
  const count = values.length;
  return count % 2 ? at((count - 1) / 2) : (at(count / 2 - 1) + at(count / 2)) / 2;
}

/** The places of blocks, in groups of like brightness; each a Float64Array, so that it maps to numbers. */
export function groups(mean, bins) {
  const order = Float64Array.from(mean.keys()).sort((a, b) => mean[a] - mean[b]);
  const count = Math.max(2, Math.min(bins, Math.floor(mean.length / 12)));
  const each = Math.floor(mean.length / count);
  const more = mean.length % count;
  const start = (n) => n * each + Math.min(n, more);
  return Array.from({ length: count }, (_, n) => order.subarray(start(n), start(n + 1)));
}
