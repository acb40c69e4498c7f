/** Starts the console: the page that the URL names, inside the frame that all pages share. */
import { h, render } from "./vendor/ui.js";
import { App } from "./app.js";

render(h(App, {}), /** @type {HTMLElement} */ (document.getElementById("app")));
