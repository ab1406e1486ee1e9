/** Arithmetic with 3x3 matrices, given as rows. */

export const times = (a, b) => a.map((row) => b[0].map((_, x) => row.reduce((sum, v, k) => sum + v * b[k][x], 0)));

export const timesVector = (a, v) => a.map((row) => row.reduce((sum, x, k) => sum + x * v[k], 0));

export function determinant([[a, b, c], [d, e, f], [g, h, i]]) {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

export function inverse(m) {
  const [[a, b, c], [d, e, f], [g, h, i]] = m;
  const scale = 1 / determinant(m);
  return [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((v) => v * scale));
}
