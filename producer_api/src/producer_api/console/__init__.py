"""The web console: static files that use the public API and nothing else. `app.js` is its first page."""
