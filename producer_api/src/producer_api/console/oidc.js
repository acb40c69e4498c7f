/** Sign-in with the customer's own identity provider: OpenID Connect's code flow with PKCE (RFC 7636). */
import { beginSession } from "./session.js";

const KEY = "retainwise.sign-in";

/** @typedef {{ authorize_url: string, token_url: string, client_id: string, scope: string }} Oidc */

/** @returns {Promise<Oidc | null>} null where no provider is configured */
export async function readOidc() {
  const response = await fetch("/console/config.json");
  return response.ok ? (await response.json()).oidc : null;
}

/** Leave for the provider's page; it sends the reader back to `/`. @param {Oidc} oidc @param {string} returnTo @param {string} [hint] */
export async function leave(oidc, returnTo, hint) {
  const verifier = text(crypto.getRandomValues(new Uint8Array(32)));
  const state = text(crypto.getRandomValues(new Uint8Array(16)));
  sessionStorage.setItem(KEY, JSON.stringify({ verifier, state, returnTo }));
  const challenge = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  const url = new URL(oidc.authorize_url);
  const query = {
    response_type: "code",
    client_id: oidc.client_id,
    redirect_uri: redirectUri(),
    scope: oidc.scope,
    state,
    code_challenge: text(challenge),
    code_challenge_method: "S256",
    ...(hint && { login_hint: hint }),
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Whether the provider has just sent the reader back. */
export const isReturning = () => new URLSearchParams(location.search).has("state") && sessionStorage.getItem(KEY) !== null;

/** Change the code for a token and begin the session. Throws an Error with a sentence for the reader. @param {Oidc} oidc */
export async function arrive(oidc) {
  const query = new URLSearchParams(location.search);
  const begun = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
  sessionStorage.removeItem(KEY);
  history.replaceState(null, "", `/${begun.returnTo ?? ""}`); // the code goes out of the address bar and the history
  if (!begun.state || query.get("state") !== begun.state) throw new Error("The sign-in was not begun here. Sign in again.");
  if (query.has("error")) throw new Error(`Your identity provider refused: ${query.get("error_description") ?? query.get("error")}.`);
  const response = await fetch(oidc.token_url, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code: query.get("code") ?? "",
      redirect_uri: redirectUri(),
      client_id: oidc.client_id,
      code_verifier: begun.verifier,
    }),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok || !answer.access_token) throw new Error("Your identity provider gave no token. Sign in again.");
  beginSession(answer.access_token);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

const redirectUri = () => `${location.origin}/`;

/** Base64 for URLs (RFC 4648, section 5). @param {Uint8Array} bytes */
const text = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
