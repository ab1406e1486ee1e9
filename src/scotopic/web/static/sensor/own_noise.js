// How much of what a block shows is its own: noise is of each pixel alone, texture is seen by all colours.

/**
 * Of blocks of single colours of a 2x2 cell the share of their variance that is noise, 1 where all of it may be.
 *
 * `at` are their first values in the mosaic, `quiet` the rows that are asked, a bit each; none where nothing is asked.
 * What two sums of neighbours of other colours, left and right, above and below, explain by least squares is texture.
 */
export function ownShares({ data, width }, { at, quiet }, { block, ownOfNoise, ridge, leastDn2 }) {
  const shares = new Float64Array(at.length).fill(1);
  const second = (place) => data[place - 2] - 2 * data[place] + data[place + 2];
  for (let n = 0; n < at.length; n++) {
    if (!quiet[n]) continue;
    let [ya, yb, aa, bb, ab, yy] = [0, 0, 0, 0, 0, 0];
    for (let row = 1; row < block - 1; row++) {
      if (!((quiet[n] >> row) & 1)) continue;
      const start = at[n] + 2 * row * width;
      let left = second(start + 3);
      for (let column = 2; column < block - 2; column++) {
        const place = start + 2 * column;
        const right = second(place + 1);
        const y = second(place);
        const across = left + right;
        const along = second(place - width) + second(place + width);
        left = right;
        ya += y * across;
        yb += y * along;
        aa += across * across;
        bb += along * along;
        ab += across * along;
        yy += y * y;
      }
    }
    const more = ridge * (aa + bb) + leastDn2;
    [aa, bb] = [aa + more, bb + more];
    const explained = (bb * ya * ya - 2 * ab * ya * yb + aa * yb * yb) / (aa * bb - ab * ab);
    shares[n] = Math.min(Math.max((1 - explained / Math.max(yy, leastDn2)) / ownOfNoise, 0), 1);
  }
  return shares;
}
