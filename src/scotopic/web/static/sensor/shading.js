/** Lens shading: the fall of light and the tints towards the corners, evened out by the maps that phones write.
 *
 * Mirrors `scotopic.sensor.shading`, row by row. */

/** Maps for a whole picture: its gain at a pixel is the product of theirs.
 *
 * `maps` are those of `gainMaps`; `height` and `width` those of the picture they were made for, of which `leftOut`
 * (rows, columns) before the first have been cut off; `cell` the colours of its mosaic, null for finished colours. */
export class Shading {
  #columns = new Map();

  constructor(maps, height, width, cell, leftOut = [0, 0]) {
    Object.assign(this, { maps, height, width, cell, leftOut });
  }

  /** The same without so many rows and columns before the first. */
  cut(down, across) {
    const leftOut = [this.leftOut[0] + down, this.leftOut[1] + across];
    return new Shading(this.maps, this.height, this.width, this.cell, leftOut);
  }

  /** Of each colour from row `top` to `bottom`, for demosaiced pixels: planes (3, rows, width). */
  gains(top, bottom, width) {
    const rows = bottom - top;
    const out = new Float32Array(3 * rows * width);
    for (let colour = 0; colour < 3; colour++) {
      for (let y = 0; y < rows; y++) out.set(this.gainsOfRow(colour, top + y, width), (colour * rows + y) * width);
    }
    return out;
  }

  /** Of a colour in row `y`, for demosaiced pixels.
   *
   * A mosaic's colour has the mean of its places in the cell: the two greens have maps of their own. */
  gainsOfRow(colour, y, width) {
    const row = { y, first: 0, step: 1, count: width };
    const out = this.#ofColour(colour, row);
    const groups = this.#groups(colour);
    if (groups.length) multiply(out, this.#mean(groups, row));
    return out;
  }

  /** What makes the pixels (y, first + i * step) of a mosaic even, of which `step` is the cell's size; null for
   * nothing to do. Not `whole`: only what their place has more than the mean of its colour. */
  gainsOfPlace(y, first, count, whole) {
    const step = this.cell.length;
    const place = [(y + this.leftOut[0]) % step, (first + this.leftOut[1]) % step];
    const colour = this.cell[place[0]][place[1]];
    const row = { y, first, step, count };
    const groups = this.#groups(colour);
    if (!whole && groups.length === 1) return null;
    const own = this.#product(this.#forPlace(place), row);
    if (whole) multiply(own, this.#ofColour(colour, row));
    else {
      const mean = this.#mean(groups, row);
      for (let i = 0; i < count; i++) own[i] /= mean[i];
    }
    return own;
  }

  /** The places of a colour, those together that the same maps are for: { numbers, share }. */
  #groups(colour) {
    const places = (this.cell ?? []).flatMap((row, y) => row.flatMap((seen, x) => (seen === colour ? [[y, x]] : [])));
    const found = new Map();
    for (const place of places) {
      const numbers = this.#forPlace(place);
      const group = found.get(numbers.join()) ?? { numbers, share: 0 };
      found.set(numbers.join(), { numbers, share: group.share + 1 / places.length });
    }
    return [...found.values()];
  }

  /** The numbers of the maps that are for a place. */
  #forPlace(place) {
    const fits = (one) => place.every((n, i) => (n - one.area[i]) % one.pitch[i] === 0);
    return this.maps.flatMap((one, n) => (one.ofMosaic && fits(one) ? [n] : []));
  }

  #mean(groups, row) {
    const mean = new Float32Array(row.count);
    for (const { numbers, share } of groups) {
      const own = this.#product(numbers, row);
      for (let i = 0; i < row.count; i++) mean[i] += own[i] * share;
    }
    return mean;
  }

  /** The product of a mosaic's maps. */
  #product(numbers, row) {
    const out = new Float32Array(row.count).fill(1);
    for (const n of numbers) this.#multiplyBy(out, n, 0, row);
    return out;
  }

  /** The product of the maps that are made for colours. */
  #ofColour(colour, row) {
    const out = new Float32Array(row.count).fill(1);
    this.maps.forEach((one, n) => {
      const plane = colour - one.planes[0];
      if (one.ofMosaic || plane < 0 || plane >= one.planes[1]) return;
      this.#multiplyBy(out, n, Math.min(plane, one.points[2] - 1), row);
    });
    return out;
  }

  /** Multiply by a map's gains along a row; they are 1 outside its area. */
  #multiplyBy(out, n, plane, { y, first, step }) {
    const one = this.maps[n];
    const [down, across, deep] = one.points;
    const [top, , bottom] = one.area;
    const row = y + this.leftOut[0];
    // The first row and column of a place in the cell are inside.
    if (row < top - (top % one.pitch[0]) || row >= bottom) return;
    const [above, part] = place((row + 0.5) / this.height, one, 0, down);
    const below = Math.min(above + 1, down - 1);
    const line = new Float32Array(across + 1);
    for (let h = 0; h < across; h++) {
      const at = (v) => one.grid[(v * across + h) * deep + plane];
      line[h] = at(above) * (1 - part) + at(below) * part;
    }
    line[across] = line[across - 1];
    const { low, share, inside } = this.#columnsOf(n);
    for (let i = 0, x = first + this.leftOut[1]; i < out.length; i++, x += step) {
      if (!inside[x]) continue;
      const h = low[x];
      out[i] *= line[h] + (line[h + 1] - line[h]) * share[x];
    }
  }

  /** For each column the point before it, how far it is to the next, and whether it lies in the map's area. */
  #columnsOf(n) {
    const one = this.maps[n];
    if (!this.#columns.has(n)) {
      const [, left, , right] = one.area;
      const [low, share] = [new Uint16Array(this.width), new Float64Array(this.width)];
      const inside = new Uint8Array(this.width);
      for (let x = 0; x < this.width; x++) {
        [low[x], share[x]] = place((x + 0.5) / this.width, one, 1, one.points[1]);
        inside[x] = x >= left - (left % one.pitch[1]) && x < right ? 1 : 0;
      }
      this.#columns.set(n, { low, share, inside });
    }
    return this.#columns.get(n);
  }
}

/** The point before a place, and how far it is to the next. */
function place(at, one, axis, points) {
  const index = Math.min(points - 1, Math.max(0, (at - one.origin[axis]) / one.spacing[axis]));
  return [Math.floor(index), index - Math.floor(index)];
}

function multiply(values, by) {
  for (let i = 0; i < values.length; i++) values[i] *= by[i];
}

/** Demosaiced light, planes (3, height, width), times the shading's gains, in place. */
export function evened(light, height, width, shading) {
  if (!shading) return light;
  for (let colour = 0; colour < 3; colour++) {
    for (let y = 0; y < height; y++) {
      const from = (colour * height + y) * width;
      multiply(light.subarray(from, from + width), shading.gainsOfRow(colour, y, width));
    }
  }
  return light;
}

/** A mosaic's data in DN times the gains of its places; not `whole`: times what these have more than the mean of
 * their colour, without which the two greens would differ after `evened`. What is saturated stays. Float32Array. */
export function evenedMosaic({ data, height, width, black, saturation, shading }, { whole }) {
  const size = black.length;
  const out = Float32Array.from(data);
  for (let y = 0; y < height; y++) {
    for (let first = 0; first < size; first++) {
      const factor = shading.gainsOfPlace(y, first, Math.ceil((width - first) / size), whole);
      if (!factor) continue;
      const level = Math.fround(black[y % size][first]);
      for (let i = 0, at = y * width + first; i < factor.length; i++, at += size) {
        if (data[at] < saturation) out[at] = Math.fround((out[at] - level) * factor[i]) + level;
      }
    }
  }
  return out;
}
