"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  // The token of "Authorize" stays in this page's memory: another visitor of this browser must not find it.
  persistAuthorization: false,
  // The document is checked here, never by a validator elsewhere.
  validatorUrl: null,
});
