// Writes what the console takes from others into ../src/producer_api/console/vendor, byte for byte the same each
// time: one file of scripts, the colours, the icons and the font. `npm ci && npm run vendor`, then commit.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as colors from "@radix-ui/colors";
import { buildSync } from "esbuild";

const target = fileURLToPath(new URL("../src/producer_api/console/vendor/", import.meta.url));
const modules = fileURLToPath(new URL("./node_modules/", import.meta.url));

const SCALES = ["slate", "iris", "tomato", "amber", "teal"];
const ICONS = [
  "activity", "arrow-down", "arrow-right", "arrow-up", "book-open", "box", "check", "chevron-left", "chevron-right",
  "circle-alert", "circle-check", "circle-help", "circle-stop", "circle-x", "clock", "code", "columns-3", "copy",
  "download", "file-spreadsheet", "info", "keyboard", "list-checks", "loader-circle", "log-out", "moon", "pause",
  "pencil", "play", "plus", "printer", "rotate-cw", "search", "shield-check", "sun", "tag", "trash-2",
  "triangle-alert", "upload", "user", "users", "x",
];

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });

const ui = `export { Component, Fragment, createContext, createRef, h, isValidElement, render } from "preact";
export { useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "@preact/signals";
`;
writeFileSync(`${target}ui.d.ts`, ui);
buildSync({
  stdin: { contents: ui, resolveDir: modules },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  outfile: `${target}ui.js`,
});

const rules = SCALES.flatMap((scale) =>
  Object.entries(colors[scale]).map(
    ([name, light]) => `  --${name.replace(/(\d+)$/, "-$1")}: light-dark(${light}, ${colors[`${scale}Dark`][name]});`,
  ),
);
writeFileSync(`${target}colors.css`, `@layer tokens {\n  :root {\n  ${rules.join("\n  ")}\n  }\n}\n`);

const icons = ICONS.map((name) => {
  const svg = readFileSync(`${modules}lucide-static/icons/${name}.svg`, "utf8");
  const shapes = [...svg.matchAll(/<(path|circle|rect|line|polyline|polygon|ellipse)\s+([^>]*?)\s*\/>/gs)].map(
    ([, tag, attributes]) => [tag, Object.fromEntries([...attributes.matchAll(/([\w-]+)="([^"]*)"/g)].map((m) => [m[1], m[2]]))],
  );
  if (!shapes.length) throw new Error(`no shapes in ${name}`);
  return `  ${JSON.stringify(name)}: ${JSON.stringify(shapes)},`;
});
writeFileSync(
  `${target}icons.js`,
  `/** Lucide's shapes, on a grid of 24: [element, attributes]. @type {Readonly<Record<string, [string, Record<string, string>][]>>} */\nexport const SHAPES = {\n${icons.join("\n")}\n};\n`,
);

copyFileSync(`${modules}@fontsource-variable/inter/files/inter-latin-wght-normal.woff2`, `${target}inter.woff2`);

const packages = {
  "ui.js": ["preact", "@preact/signals", "@preact/signals-core"],
  "colors.css": ["@radix-ui/colors"],
  "icons.js": ["lucide-static"],
  "inter.woff2": ["@fontsource-variable/inter"],
};
const licences = [];
const files = Object.entries(packages).map(([file, names]) => ({
  file,
  sha256: createHash("sha256").update(readFileSync(target + file)).digest("hex"),
  packages: names.map((name) => {
    const { version, license } = JSON.parse(readFileSync(`${modules}${name}/package.json`, "utf8"));
    licences.push(`${name} ${version} (${license})\n\n${readFileSync(`${modules}${name}/LICENSE`, "utf8").trim()}\n`);
    return { name, version, license };
  }),
}));
writeFileSync(`${target}vendor.json`, `${JSON.stringify({ files }, null, 2)}\n`);
writeFileSync(`${target}LICENSES.txt`, licences.join(`\n${"-".repeat(72)}\n\n`));
