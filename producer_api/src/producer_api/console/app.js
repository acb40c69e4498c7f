/** The whole on one page: who may see what, and which page the URL names. */
import { h } from "./vendor/ui.js";
import { Shell } from "./components/shell.js";
import { location } from "./router.js";
import { token } from "./session.js";
import { Api } from "./pages/api.js";
import { Failures } from "./pages/failures.js";
import { Models } from "./pages/models.js";
import { New } from "./pages/new.js";
import { Prediction } from "./pages/prediction.js";
import { Predictions } from "./pages/predictions.js";
import { SignIn } from "./pages/sign_in.js";

/** By the first part of the path. Each gets the parts that follow. @type {Record<string, (props: { parts: string[] }) => any>} */
const PAGES = {
  predictions: ({ parts }) => (parts.length ? h(Prediction, { parts, key: parts[0] }) : h(Predictions, {})),
  new: () => h(New, {}),
  failures: () => h(Failures, {}),
  models: ({ parts }) => h(Models, { parts }),
  api: () => h(Api, {}),
};

export function App() {
  if (!token.value) return h(SignIn, {});
  const [name = "predictions", ...parts] = location.value.parts;
  const page = PAGES[name] ?? PAGES.predictions;
  return h(Shell, { section: name in PAGES ? name : "predictions" }, page?.({ parts }));
}
