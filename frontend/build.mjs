// Bundles the console's scripts and styles into the Python package, where the wheel ships them.
//
// One entry a page, so that a page loads what it uses and no more. Names carry a hash of their content, which
// lets browsers keep them for ever; manifest.json tells the templates the name of the day.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = join(here, "../src/gatepost/console/static/dist");

const entries = (await readdir(join(here, "src/pages"))).map((name) => join(here, "src/pages", name));

const result = await build({
  entryPoints: [...entries, join(here, "src/console.css")],
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
  metafile: true,
  write: false,
  logLevel: "warning",
});

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
for (const file of result.outputFiles) await writeFile(join(out, basename(file.path)), file.contents);

const manifest = {};
for (const [path, { entryPoint }] of Object.entries(result.metafile.outputs)) {
  if (entryPoint) manifest[basename(entryPoint, extname(entryPoint)) + extname(path)] = basename(path);
}
const stamp = createHash("sha256").update(JSON.stringify(manifest)).digest("hex").slice(0, 12);
await writeFile(join(out, "manifest.json"), JSON.stringify({ ...manifest, stamp }, null, 1) + "\n");
