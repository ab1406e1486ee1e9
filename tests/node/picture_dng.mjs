// The DNG that the page saves of an enhanced picture whose light lies turned and whose pixels are not square:
// `node picture_dng.mjs STATIC_FOLDER CONSTANTS OUT HEIGHT WIDTH ORIENTATION ASPECT`.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [folder, constantsAt, out, ...numbers] = process.argv.slice(2);
const [height, width, orientation, pixelAspect] = numbers.map(Number);
const { fileOf } = await import(pathToFileURL(`${folder}/files.js`));
const { narrow } = await import(pathToFileURL(`${folder}/half.js`));
const { readExif } = await import(pathToFileURL(`${folder}/metadata.js`));
const constants = JSON.parse(await readFile(constantsAt));

const rgb = new Uint16Array(3 * height * width);
narrow(Float32Array.from(rgb, (_, i) => i / rgb.length), rgb);
const known = { wb: [2, 1, 1.5], xyzToCamera: null, orientation, pixelAspect };
const light = { ...known, height, width, rgb, plain: rgb, clip: 1, ratio: 100 };
const about = { ...known, make: "Test", model: "Camera", exif: readExif(new Uint8Array(8)) };
const picture = { light, about, file: { name: "IMG_1.KDC" } };
const { blob, name } = await fileOf(picture, { format: "dng" }, { constants, go() {}, onRow() {} });
await writeFile(out, Buffer.from(await blob.arrayBuffer()));
console.log(JSON.stringify({ name }));
