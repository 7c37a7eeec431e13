// Bundles the console's scripts and styles into the Python package, where the wheel ships them.
//
// One entry a page, so that a page loads what it uses and no more. Names carry a hash of their content, which
// lets browsers keep them for ever; manifest.json tells the templates the name of the day. What compresses is
// compressed here, once and as hard as it goes.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = join(here, "../src/gatepost/console/static/dist");

const entries = (await readdir(join(here, "src/pages"))).map((name) => join(here, "src/pages", name));

const result = await build({
  entryPoints: [...entries, ...["console.css", "icon.svg", "ahead.json"].map((name) => join(here, "src", name))],
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  sourcemap: false,
  legalComments: "none",
  outdir: out,
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file", ".svg": "copy", ".json": "copy" },
  metafile: true,
  write: false,
  logLevel: "warning",
});

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
for (const file of result.outputFiles) {
  const path = join(out, basename(file.path));
  await writeFile(path, file.contents);
  if (/\.(js|css|svg)$/.test(path)) {
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
    await writeFile(path + ".br", brotliCompressSync(file.contents, quality));
    await writeFile(path + ".gz", gzipSync(file.contents, { level: 9 }));
  }
}

// "live.ts" is asked for as "live.js"; a chunk or a font, which no template names, by its own name.
const manifest = {};
for (const [path, { entryPoint, inputs }] of Object.entries(result.metafile.outputs)) {
  const file = basename(path);
  const [only] = Object.keys(inputs);
  if (entryPoint) manifest[basename(entryPoint, extname(entryPoint)) + extname(path)] = file;
  else if (only && extname(path) !== ".js") manifest[basename(only)] = file;
  else manifest[file] = file;
}
const stamp = createHash("sha256").update(JSON.stringify(manifest)).digest("hex").slice(0, 12);
await writeFile(join(out, "manifest.json"), JSON.stringify({ ...manifest, stamp }, null, 1) + "\n");
