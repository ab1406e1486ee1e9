// What the page says of a picture wider than JPEG allows: `node wide_picture.mjs STATIC_FOLDER FILE`.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const { read } = await import(pathToFileURL(`${folder}/read.js`));
const { jpeg } = await import(pathToFileURL(`${folder}/write.js`));
const { exif } = await read(new Uint8Array(await readFile(file)));
try {
  await jpeg(() => new Uint8Array(0), 70000, 10, { exif, software: "scotopic" });
} catch (error) {
  console.log(JSON.stringify({ code: error.code, kind: error.facts.kind }));
}
