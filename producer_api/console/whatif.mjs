// Reads a model's terms and cases from the standard input and writes the probability of each case.
import { readFileSync } from "node:fs";
import { explain } from "../src/producer_api/console/explain.js";

const { card, cases } = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map((values) => explain(card, values).probability)));
