// What libraw.wasm is and asks for: `node wasm_facts.mjs STATIC_FOLDER`.
import { pathToFileURL } from "node:url";

const { instance, librawModule } = await import(pathToFileURL(`${process.argv[2]}/libraw.js`));
const exports = await instance();
const memory = new Uint8Array(exports.memory.buffer);
const at = exports.version();
const version = String.fromCharCode(...memory.subarray(at, memory.indexOf(0, at)));
const imports = WebAssembly.Module.imports(await librawModule()).map(({ name }) => name);
console.log(JSON.stringify({ version, imports }));
