// Put into every page that `benchmarks/console.py` looks at: when something was done, and when it was there to see.
//
// Times are milliseconds since 1970 of the browser's steady clock: `performance.timeOrigin` makes them comparable from
// one page to the next. What is waited for is kept in the session's storage and so survives the way to another page.

(() => {
  const now = (at = performance.now()) => performance.timeOrigin + at;
  const wanted = () => JSON.parse(sessionStorage.getItem("watch") ?? "null");

  const longest = () => Number(sessionStorage.getItem("longest") ?? 0);
  const keep = (ms) => sessionStorage.setItem("longest", String(Math.max(ms, longest())));

  // The click comes when the button is let go; a key counts from when it went down.
  for (const kind of ["click", "keydown"]) {
    addEventListener(
      kind,
      (event) => {
        const want = wanted();
        if (want && event.isTrusted) sessionStorage.setItem("watch", JSON.stringify({ ...want, began: now(event.timeStamp) }));
      },
      { capture: true },
    );
  }

  const look = () => {
    const want = wanted();
    if (!want?.began || window.took !== undefined) return;
    if (document.readyState === "loading" || !location.href.includes(want.at)) return;
    if (!document.querySelector(want.shown)) return;
    // The next frame shows it; what is queued behind that frame's callbacks runs when it has been made.
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        const painted = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0;
        window.took = Math.max(now(), now(painted)) - want.began;
      };
      port2.postMessage(0);
    });
  };

  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  document.addEventListener("readystatechange", look);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.interactionId) keep(entry.duration);
  }).observe({ type: "event", durationThreshold: 16, buffered: true });

  window.watch = {
    want: (want) => {
      delete window.took;
      sessionStorage.setItem("watch", JSON.stringify(want));
    },
    longest,
  };
})();
