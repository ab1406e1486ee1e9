/** Lens shading: the fall of light and the tints towards the corners, evened out by the maps that phones write.
 *
 * Mirrors `scotopic.shading`. Pictures are planes here: (3, rows, width). */

/** Rows evened out at a time; a multiple of 2 and 6. */
const ROWS = 126;

/** Maps for a whole picture: its gain at a pixel is the product of theirs.
 *
 * `maps` are those of `gainMaps`; `height` and `width` those of the picture they were made for, of which `leftOut`
 * (rows, columns) before the first have been cut off; `cell` the colours of its mosaic, null for finished colours. */
export class Shading {
  constructor(maps, height, width, cell, leftOut = [0, 0]) {
    Object.assign(this, { maps, height, width, cell, leftOut });
  }

  /** The same without so many rows and columns before the first. */
  cut(down, across) {
    const leftOut = [this.leftOut[0] + down, this.leftOut[1] + across];
    return new Shading(this.maps, this.height, this.width, this.cell, leftOut);
  }

  /** Of each colour, for demosaiced pixels from row `top` to `bottom`: planes (3, rows, width).
   *
   * A mosaic's colour has the mean of its places in the cell: the two greens have maps of their own. */
  gains(top, bottom, width) {
    const values = this.#all(top, bottom, width);
    const size = (bottom - top) * width;
    const out = new Float32Array(3 * size).fill(1);
    for (let colour = 0; colour < 3; colour++) {
      const plane = out.subarray(colour * size, (colour + 1) * size);
      multiply(plane, this.#ofColour(colour, values, size));
      const places = this.#places(colour);
      if (!places.length) continue;
      const mean = new Float32Array(size);
      for (const place of places) {
        const own = product(
          this.#forPlace(place).map((n) => values[n].subarray(0, size)),
          size,
        );
        for (let i = 0; i < size; i++) mean[i] += own[i] / places.length;
      }
      multiply(plane, mean);
    }
    return out;
  }

  /** Of each place of the cell, as it lies at the picture's top-left corner: [{ y, x, gains }], (rows, width). */
  gainsOfPlaces(top, bottom, width) {
    const values = this.#all(top, bottom, width);
    const size = (bottom - top) * width;
    const cell = this.cell?.length ?? 0;
    const found = [];
    for (let colour = 0; colour < 3; colour++) {
      const ofColour = this.#ofColour(colour, values, size);
      for (const place of this.#places(colour)) {
        const gains = product(
          this.#forPlace(place).map((n) => values[n].subarray(0, size)),
          size,
        );
        multiply(gains, ofColour);
        const [y, x] = place.map((n, i) => (((n - this.leftOut[i]) % cell) + cell) % cell);
        found.push({ y, x, colour, gains });
      }
    }
    return found;
  }

  #places(colour) {
    return (this.cell ?? []).flatMap((row, y) => row.flatMap((seen, x) => (seen === colour ? [[y, x]] : [])));
  }

  /** The numbers of the maps that are for a place. */
  #forPlace(place) {
    const fits = (one) =>
      place.every((n, i) => (((n - one.area[i]) % one.pitch[i]) + one.pitch[i]) % one.pitch[i] === 0);
    return this.maps.flatMap((one, n) => (one.ofMosaic && fits(one) ? [n] : []));
  }

  /** The product of the maps that are made for colours. */
  #ofColour(colour, values, size) {
    const factors = this.maps.flatMap((one, n) => {
      const plane = colour - one.planes[0];
      if (one.ofMosaic || plane < 0 || plane >= one.planes[1]) return [];
      const at = Math.min(plane, one.points[2] - 1) * size;
      return [values[n].subarray(at, at + size)];
    });
    return product(factors, size);
  }

  #all(top, bottom, width) {
    return this.maps.map((one) => this.#values(one, top + this.leftOut[0], bottom + this.leftOut[0], width));
  }

  /** A map's gains, planes (P, rows, width), 1 outside its area. */
  #values(one, first, last, width) {
    const [down, across, deep] = one.points;
    const [top, left, bottom, right] = one.area;
    const rows = last - first;
    const skip = this.leftOut[1];
    const out = new Float32Array(deep * rows * width).fill(1);
    const columns = Array.from({ length: width }, (_, x) => place((x + skip + 0.5) / this.width, one, 1, across));
    for (let y = 0; y < rows; y++) {
      const row = first + y;
      // The first row and column of a place in the cell are inside.
      if (row < top - (top % one.pitch[0]) || row >= bottom) continue;
      const [above, below, share] = place((row + 0.5) / this.height, one, 0, down);
      for (let x = 0; x < width; x++) {
        if (x + skip < left - (left % one.pitch[1]) || x + skip >= right) continue;
        const [before, behind, part] = columns[x];
        for (let p = 0; p < deep; p++) {
          const at = (v, h) => one.grid[(v * across + h) * deep + p];
          const upper = at(above, before) * (1 - part) + at(above, behind) * part;
          const lower = at(below, before) * (1 - part) + at(below, behind) * part;
          out[(p * rows + y) * width + x] = upper * (1 - share) + lower * share;
        }
      }
    }
    return out;
  }
}

/** The two points between which a place lies, and how far it is to the second. */
function place(at, one, axis, points) {
  const index = Math.min(points - 1, Math.max(0, (at - one.origin[axis]) / one.spacing[axis]));
  const low = Math.min(Math.floor(index), Math.max(0, points - 2));
  return [low, Math.min(low + 1, points - 1), index - low];
}

function product(factors, size) {
  const whole = new Float32Array(size).fill(1);
  for (const factor of factors) multiply(whole, factor);
  return whole;
}

function multiply(values, by) {
  for (let i = 0; i < values.length; i++) values[i] *= by[i];
}

/** Demosaiced light, planes (3, height, width), times the shading's gains, in place. */
export function evened(light, height, width, shading) {
  if (!shading) return light;
  const size = height * width;
  for (let top = 0; top < height; top += ROWS) {
    const bottom = Math.min(top + ROWS, height);
    const gains = shading.gains(top, bottom, width);
    const count = (bottom - top) * width;
    for (let colour = 0; colour < 3; colour++) {
      const from = colour * size + top * width;
      multiply(light.subarray(from, from + count), gains.subarray(colour * count, (colour + 1) * count));
    }
  }
  return light;
}

/** A mosaic's data in DN times the gains of its places; not `whole`: times what these have more than the mean of
 * their colour, without which the two greens would differ after `evened`. What is saturated stays. Float32Array. */
export function evenedMosaic({ data, height, width, black, saturation, shading }, { whole }) {
  const size = black.length;
  const out = Float32Array.from(data);
  for (let top = 0; top < height; top += ROWS) {
    const bottom = Math.min(top + ROWS, height);
    const ofColours = whole ? null : shading.gains(top, bottom, width);
    const count = (bottom - top) * width;
    for (const { y, x, colour, gains } of shading.gainsOfPlaces(top, bottom, width)) {
      const level = Math.fround(black[y][x]);
      for (let row = y; row < bottom - top; row += size) {
        for (let column = x; column < width; column += size) {
          const i = row * width + column;
          const at = top * width + i;
          if (data[at] >= saturation) continue;
          const factor = whole ? gains[i] : gains[i] / ofColours[colour * count + i];
          out[at] = Math.fround((out[at] - level) * factor) + level;
        }
      }
    }
  }
  return out;
}
