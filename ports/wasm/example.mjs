// ports/wasm/example.mjs: node example.mjs heed_layer.wasm LAYER.heed X.npy [Y.npy] runs a packed
// layer on X, float32 [1][len][embed_dim], and compares with Y. A browser runs the same code, with
// fetch instead of readFile. What it refuses to do: read other kinds of .npy.
import { readFile } from "node:fs/promises";
import { argv, exit } from "node:process";

const [program, layerPath, xPath, yPath] = argv.slice(2);
const { instance } = await WebAssembly.instantiate(await readFile(program), {});
const heed = instance.exports;
heed._initialize?.();

// Memory behind what the program uses; every part begins at a multiple of 64.
let end = heed.__heap_base.value;
function take(bytes) {
  const begin = Math.ceil(end / 64) * 64;
  end = begin + bytes;
  const missing = end - heed.memory.buffer.byteLength;
  if (missing > 0) heed.memory.grow(Math.ceil(missing / 65536));
  return begin;
}
function check(code) {
  if (code === 0) return;
  const text = new Uint8Array(heed.memory.buffer, heed.layer_message());
  console.error(`heed: error: ${new TextDecoder().decode(text.subarray(0, text.indexOf(0)))}`);
  exit(1);
}
async function readNpy(path) {
  const file = await readFile(path);
  return new Float32Array(file.buffer.slice(file.byteOffset + 10 + file.readUInt16LE(8),
                                            file.byteOffset + file.length));
}

const file = await readFile(layerPath);
const fileAt = take(file.length);
new Uint8Array(heed.memory.buffer).set(file, fileAt);
check(heed.layer_open(fileAt, file.length));

const x = await readNpy(xPath);
const len = x.length / heed.layer_embed_dim();
const blockBytes = heed.layer_workspace_bytes(len);
check(heed.layer_create(take(blockBytes), blockBytes, len));

const xAt = take(x.byteLength);
const yAt = take(x.byteLength);
new Float32Array(heed.memory.buffer, xAt, x.length).set(x);
const start = performance.now();
check(heed.layer_forward(xAt, yAt, len, 0));
const milliseconds = performance.now() - start;
const y = new Float32Array(heed.memory.buffer, yAt, x.length);
console.log(`${len} x ${heed.layer_embed_dim()} in ${milliseconds.toFixed(3)} ms, ` +
            `${file.length} bytes of file, ${blockBytes} of block`);

if (yPath) {
  const expected = await readNpy(yPath);
  const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const error = y.reduce((a, b, i) => Math.max(a, Math.abs(b - expected[i])), 0) / largest;
  console.log(`error ${error.toExponential(1)} of |y|max`);
  if (!(error <= 1e-5)) exit(1);
}
