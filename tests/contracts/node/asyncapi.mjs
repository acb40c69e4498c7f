// Prints what AsyncAPI's own parser finds wrong with the document on standard input; exits with 1 if it is invalid.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const problems = diagnostics.filter(({ severity }) => severity === 0);
for (const { message, path } of problems) console.log(`${path.join(".")}: ${message}`);
console.log(document ? `${document.channels().all().length} channels, ${document.messages().all().length} messages` : "invalid");
process.exit(document && problems.length === 0 ? 0 : 1);
