// Reads files with the page's modules: `node read_files.mjs STATIC_FOLDER OUT_FOLDER FILE...`.
//
// Prints one JSON line a file and writes its values as OUT_FOLDER/NUMBER.bin.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, out, ...files] = process.argv.slice(2);
const { read } = await import(pathToFileURL(`${folder}/read.js`));
const megapixelsMax = Number(process.env.MEGAPIXELS_MAX ?? Infinity);

for (const [number, file] of files.entries()) {
  try {
    const { data, exif, ...rest } = await read(new Uint8Array(await readFile(file)), { megapixelsMax });
    await writeFile(`${out}/${number}.bin`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    console.log(JSON.stringify({ file, type: data.constructor.name, ...rest }));
  } catch (error) {
    console.log(JSON.stringify({ file, code: error.code ?? "crash", words: `${error.stack}`, facts: error.facts }));
  }
}
