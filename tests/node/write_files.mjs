// Writes JPEGs with the EXIF of RAW files: `node write_files.mjs STATIC_FOLDER OUT_FOLDER WIDTH HEIGHT FILE...`.
//
// The picture is OUT_FOLDER/rgb.bin; options are the environment's OPTIONS (JSON).
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, out, width, height, ...files] = process.argv.slice(2);
const { read } = await import(pathToFileURL(`${folder}/read.js`));
const { jpeg } = await import(pathToFileURL(`${folder}/write.js`));
const rgb = new Uint8Array(await readFile(`${out}/rgb.bin`));
const { icc, ...options } = JSON.parse(process.env.OPTIONS ?? "{}");
const rows = (top, count) => rgb.subarray(top * width * 3, (top + count) * width * 3);

for (const [number, file] of files.entries()) {
  const { exif } = await read(new Uint8Array(await readFile(file)));
  const shares = [];
  const settings = { exif, software: "scotopic 9.9", onRow: (share) => shares.push(share), ...options };
  if (icc) settings.icc = Uint8Array.from(Buffer.from(icc, "base64"));
  const { parts, size } = await jpeg(rows, Number(width), Number(height), settings);
  const name = `${out}/${number}.jpg`;
  await writeFile(name, Buffer.concat(parts));
  console.log(JSON.stringify({ file, name, size, last: shares.at(-1) }));
}
