/** The whole on one page: who may see what, and which page the URL names. Each is loaded when it is first opened. */
import { h, useEffect, useState } from "./vendor/ui.js";
import { Problem, Skeleton } from "./components/feedback.js";
import { Shell } from "./components/shell.js";
import { location } from "./router.js";
import { token } from "./session.js";

/** @typedef {(props: { parts: string[] }) => any} Page */

/** By the section that the path begins with. @type {Record<string, () => Promise<Page>>} */
const PAGES = {
  predictions: async () => (await import("./pages/predictions.js")).Predictions,
  prediction: async () => (await import("./pages/prediction.js")).Prediction,
  new: async () => (await import("./pages/new.js")).New,
  failures: async () => (await import("./pages/failures.js")).Failures,
  models: async () => (await import("./pages/models.js")).Models,
  api: async () => (await import("./pages/api.js")).Api,
  "sign-in": async () => (await import("./pages/sign_in.js")).SignIn,
};

/** What was loaded already, so that going back shows a page at once. @type {Map<string, Page>} */
const loaded = new Map();

export function App() {
  if (!token.value) return h(Loaded, { name: "sign-in", parts: [] });
  const [first = "", ...parts] = location.value.parts;
  const section = first in PAGES && first !== "sign-in" && first !== "prediction" ? first : "predictions";
  const name = section === "predictions" && parts.length > 0 ? "prediction" : section;
  return h(Shell, { section }, h(Loaded, { name, parts, key: name === "prediction" ? parts[0] : name }));
}

/** @param {{ name: string, parts: string[] }} props */
function Loaded({ name, parts }) {
  const [, rerender] = useState(0);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const page = loaded.get(name);
  useEffect(() => {
    if (page) return;
    setError(null);
    const load = /** @type {() => Promise<Page>} */ (PAGES[name]);
    load().then(
      (found) => {
        loaded.set(name, found);
        rerender((count) => count + 1);
      },
      (problem) => setError(problem),
    );
  }, [name]);
  if (page) return h(page, { parts });
  return error === null ? h(Skeleton, { lines: 6 }) : h(Problem, { error });
}
