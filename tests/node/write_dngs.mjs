// Writes linear DNGs: `node write_dngs.mjs STATIC_FOLDER OUT_FOLDER WIDTH HEIGHT FILE...`.
//
// OUT_FOLDER/light.bin holds planes of floats, OUT_FOLDER/rgb.bin the same rendered; options are OPTIONS (JSON).
import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, out, wide, high, ...files] = process.argv.slice(2);
const [width, height] = [Number(wide), Number(high)];
const { read } = await import(pathToFileURL(`${folder}/read.js`));
const { linearDng } = await import(pathToFileURL(`${folder}/dng/write.js`));
const rgb = new Uint8Array(await readFile(`${out}/rgb.bin`));
const light = new Float32Array(new Uint8Array(await readFile(`${out}/light.bin`)).buffer);
const shown = (top, count) => rgb.subarray(top * width * 3, (top + count) * width * 3);
const planes = (top, count) => {
  const part = new Float32Array(3 * count * width);
  for (let colour = 0; colour < 3; colour++) {
    const from = (colour * height + top) * width;
    part.set(light.subarray(from, from + count * width), colour * count * width);
  }
  return part;
};

for (const [number, file] of files.entries()) {
  const capture = await read(new Uint8Array(await readFile(file)));
  const options = { capture, fileName: basename(file), software: "scotopic 9.9", ...JSON.parse(process.env.OPTIONS) };
  const { parts, size } = await linearDng(planes, shown, width, height, options);
  const name = `${out}/${number}.dng`;
  await writeFile(name, Buffer.concat(parts));
  console.log(JSON.stringify({ name, size }));
}
