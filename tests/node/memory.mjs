// How much memory is held after reading a file again and again: `node memory.mjs STATIC_FOLDER FILE`.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const [folder, file] = process.argv.slice(2);
const { read } = await import(pathToFileURL(`${folder}/read.js`));
const bytes = new Uint8Array(await readFile(file));

for (let i = 0; i < 20; i++) {
  await read(bytes);
  await new Promise((done) => setTimeout(done));
  collect();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  console.log(JSON.stringify({ megabytes: (heapUsed + external + arrayBuffers) / 1e6 }));
}
