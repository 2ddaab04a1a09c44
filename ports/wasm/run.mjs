// ports/wasm/run.mjs: node run.mjs PROGRAM.wasm [ARGUMENT]... runs a WASI program that may read the
// file system, with this process's environment.
import { readFile } from "node:fs/promises";
import { argv, env, exit } from "node:process";
import { WASI } from "node:wasi";

const program = argv[2];
const wasi = new WASI({ version: "preview1", args: argv.slice(2), env, preopens: { "/": "/" } });
// A plain function before each import: a direct one becomes a fast call of V8, in which Node's WASI
// may start a garbage collection, which is not allowed there. The heap is then broken, and Node
// crashes later, as it ends (nodejs/node#46777).
const imports = wasi.getImportObject();
for (const functions of Object.values(imports)) {
  for (const [name, call] of Object.entries(functions)) {
    functions[name] = (...values) => call(...values);
  }
}
const module = await WebAssembly.compile(await readFile(program));
exit(wasi.start(await WebAssembly.instantiate(module, imports)));
