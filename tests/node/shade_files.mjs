// Evens out the shading of mosaics: `node shade_files.mjs STATIC_FOLDER OUT_FOLDER FILE...`; names of raw floats.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, out, ...files] = process.argv.slice(2);
const { read } = await import(pathToFileURL(`${folder}/read.js`));
const { evened, evenedMosaic } = await import(pathToFileURL(`${folder}/sensor/shading.js`));

for (const [number, file] of files.entries()) {
  const mosaic = await read(new Uint8Array(await readFile(file)));
  const { height, width, shading } = mosaic;
  const made = {
    light: evened(new Float32Array(3 * height * width).fill(1), height, width, shading),
    whole: evenedMosaic(mosaic, { whole: true }),
    part: evenedMosaic(mosaic, { whole: false }),
  };
  const names = {};
  for (const [name, values] of Object.entries(made)) {
    names[name] = `${out}/${number}-${name}.bin`;
    await writeFile(names[name], new Uint8Array(values.buffer));
  }
  console.log(JSON.stringify(names));
}
