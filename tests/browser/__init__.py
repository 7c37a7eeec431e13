"""The console in a real browser. A package, so that the browser is gone before any other test's event loop starts."""
