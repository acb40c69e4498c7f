/** Who am I? By the identity provider where there is one, else by a token. */
import { h, useEffect, useState } from "../vendor/ui.js";
import { send } from "../api.js";
import { Button } from "../components/button.js";
import { Note, Problem } from "../components/feedback.js";
import { arrive, isReturning, leave, readOidc } from "../oidc.js";
import { location as page } from "../router.js";
import { beginSession, ended } from "../session.js";
import { tags } from "../tags.js";

const { div, form, h1, img, input, label, main, p } = tags;

const ENDED = {
  token_expired: "Your session has expired. Sign in again: you return to where you were.",
  token_invalid: "Your token is no longer accepted. Sign in again: you return to where you were.",
};

export function SignIn() {
  const [oidc, setOidc] = useState(/** @type {import("../oidc.js").Oidc | null | undefined} */ (undefined));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(isReturning());
  const hint = page.value.parts[0] === "sign-in" ? page.value.query.get("hint") : null;

  useEffect(() => {
    document.title = "Sign in · RetainWise";
    readOidc()
      .then(async (found) => {
        setOidc(found);
        if (found && isReturning()) await arrive(found);
        else if (found && hint) await leave(found, "#/predictions", hint);
      })
      .catch((problem) => setError(problem))
      .finally(() => setBusy(false));
  }, []);

  const enter = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const token = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("token") ?? "").trim();
    setBusy(true);
    setError(null);
    try {
      await send("GET", "/v1/me", { headers: { Authorization: `Bearer ${token}` } });
      beginSession(token);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };

  const why = ended.value && (ENDED[/** @type {keyof typeof ENDED} */ (ended.value)] ?? "You were signed out.");
  return main(
    { class: "sign-in", id: "content" },
    div(
      { class: "card sign-in-card" },
      div(
        { class: "body stack", style: { "--gap": "1.25rem" } },
        div({ class: "stack", style: { "--gap": "0.75rem" } }, img({ src: "/console/icon.svg", alt: "", width: 40, height: 40 }), h1("Sign in to RetainWise"), p({ class: "soft" }, "See who is about to leave, why, and whom to call first.")),
        why && h(Note, { kind: "warn", icon: "clock", role: "status" }, p(why)),
        error instanceof Error && error.constructor === Error ? h(Note, { kind: "bad", role: "alert" }, p(error.message)) : error !== null && h(Problem, { error }),
        oidc && h(Button, { label: "Continue with your company account", icon: "arrow-right", kind: "primary", busy, onClick: () => leave(oidc, globalThis.location.hash) }),
        form(
          { class: "stack", onSubmit: enter },
          label(
            { class: "field" },
            tags.span({ class: "label" }, oidc ? "Or use an access token" : "Access token"),
            input({ class: "input mono", name: "token", type: "password", autocomplete: "off", spellcheck: false, required: true, placeholder: "eyJhbGciOi…" }),
            tags.span({ class: "hint" }, "It stays in this tab and ends with it."),
          ),
          h(Button, { label: "Sign in", kind: oidc ? undefined : "primary", busy, more: { type: "submit" } }),
        ),
      ),
    ),
  );
}
