// A part of a picture at the size a screen shows it: from copies halved again and again, so that it takes no time.

import { LIGHT_OF_HALF, narrow } from "./half.js";
import { turning, uprightSize } from "./develop.js";

/** Light is halved until it is about this large along its longer side. */
const SMALLEST = 300;

/** A picture's light and its halved copies: [{height, width, rgb, plain}, ...], the largest first. */
export function levels(light) {
  const found = [light];
  for (;;) {
    const last = found[found.length - 1];
    if (Math.max(last.height, last.width) < 2 * SMALLEST) return found;
    const [height, width] = [last.height >> 1, last.width >> 1];
    if (!height || !width) return found;
    found.push({ height, width, rgb: halved(last, last.rgb), plain: halved(last, last.plain) });
  }
}

function halved({ height, width }, halves) {
  const [high, wide] = [height >> 1, width >> 1];
  const out = new Uint16Array(3 * high * wide);
  const row = new Float32Array(wide);
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < high; y++) {
      let at = (c * height + 2 * y) * width;
      for (let x = 0; x < wide; x++, at += 2)
        row[x] =
          0.25 *
          (LIGHT_OF_HALF[halves[at]] +
            LIGHT_OF_HALF[halves[at + 1]] +
            LIGHT_OF_HALF[halves[at + width]] +
            LIGHT_OF_HALF[halves[at + width + 1]]);
      narrow(row, out, (c * high + y) * wide);
    }
  return out;
}

/**
 * The light of a view, one of `which` "rgb" and "plain": three Float32Arrays of outWidth * outHeight.
 *
 * `view` {x, y, width, height} is in upright pixels of `light`, the picture it describes; `stack` what is sampled,
 * which may be a smaller picture of the same. Between pixels on a straight line; at 100% they are the picture's own.
 */
export function sampled(stack, light, which, view, outWidth, outHeight) {
  const { orientation = 1 } = light;
  const [upWidth, upHeight] = uprightSize(light);
  const across = view.width / outWidth;
  const down = view.height / outHeight;
  // The coarsest copy that still has a pixel for each on the screen.
  const wanted = Math.min(across, down);
  const uprightWide = (level) => (orientation > 4 ? level.height : level.width);
  let level = stack[0];
  for (const coarser of stack) if (upWidth / uprightWide(coarser) <= wanted * 1.01) level = coarser;
  const { height, width } = level;
  const t = turning(orientation, width, height);
  const [scaleX, scaleY] = [(orientation > 4 ? height : width) / upWidth, (orientation > 4 ? width : height) / upHeight];
  const columns = steps(outWidth, view.x, across, scaleX);
  const rows = steps(outHeight, view.y, down, scaleY);
  const [wide, high] = orientation > 4 ? [height, width] : [width, height];
  const planes = [0, 1, 2].map(() => new Float32Array(outWidth * outHeight));
  const size = height * width;
  const halves = level[which];
  const [first, alongX, alongY] = [t.x0 + t.y0 * width, t.xx + t.yx * width, t.xy + t.yy * width];
  const xs = [taps(columns, wide), taps(rows, high)];
  const [[leftOf, rightOf, shareX, plainX], [topOf, bottomOf, shareY, plainY]] = xs;
  let at = 0;
  for (let y = 0; y < outHeight; y++) {
    const top = first + topOf[y] * alongY;
    const bottom = first + bottomOf[y] * alongY;
    const down2 = shareY[y];
    for (let x = 0; x < outWidth; x++, at++) {
      const a = top + leftOf[x] * alongX;
      if (plainX && plainY) {
        planes[0][at] = LIGHT_OF_HALF[halves[a]];
        planes[1][at] = LIGHT_OF_HALF[halves[a + size]];
        planes[2][at] = LIGHT_OF_HALF[halves[a + 2 * size]];
        continue;
      }
      const b = top + rightOf[x] * alongX;
      const c = bottom + leftOf[x] * alongX;
      const d = bottom + rightOf[x] * alongX;
      const right = shareX[x];
      for (let plane = 0, off = 0; plane < 3; plane++, off += size) {
        const upper = LIGHT_OF_HALF[halves[a + off]];
        const lower = LIGHT_OF_HALF[halves[c + off]];
        const above = upper + right * (LIGHT_OF_HALF[halves[b + off]] - upper);
        const below = lower + right * (LIGHT_OF_HALF[halves[d + off]] - lower);
        planes[plane][at] = above + down2 * (below - above);
      }
    }
  }
  return planes;
}

/** Where the screen's pixels lie along an axis of the level, in its pixels from the first one's middle. */
function steps(count, start, step, scale) {
  return Float64Array.from({ length: count }, (_, i) => (start + (i + 0.5) * step) * scale - 0.5);
}

/** The two pixels around each place, the second one's share, and whether all places are pixels' own. */
function taps(places, length) {
  const first = new Int32Array(places.length);
  const second = new Int32Array(places.length);
  const share = new Float32Array(places.length);
  let whole = true;
  places.forEach((place, i) => {
    const inside = Math.min(Math.max(place, 0), length - 1);
    first[i] = Math.floor(inside + 1e-6);
    second[i] = Math.min(first[i] + 1, length - 1);
    share[i] = Math.max(inside - first[i], 0);
    if (share[i] > 1e-4) whole = false;
  });
  return [first, second, share, whole];
}

/** The result and the plain picture mixed by the strength; `of` gives either's three planes. */
export function blended(of, strength) {
  if (strength >= 1) return of("rgb");
  if (strength <= 0) return of("plain");
  const [clean, plain] = [of("rgb"), of("plain")];
  return clean.map((plane, c) => plane.map((v, i) => plain[c][i] + strength * (v - plain[c][i])));
}
