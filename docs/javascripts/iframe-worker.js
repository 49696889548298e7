// SPDX-License-Identifier: Apache-2.0
// Search without a server. Browsers refuse workers on file:// pages; there an inline frame runs the worker's script.
// The theme's search asks for the name IFrameWorker; its offline plugin would load a shim of that name from another site.
(() => {
  // What a worker's script expects beside a window's own functions.
  const importScripts = (document) => (...urls) =>
    urls.reduce((before, url) => before.then(() => new Promise((done, failed) => {
      const script = document.createElement("script");
      Object.assign(script, { src: url, onload: done, onerror: failed });
      document.body.append(script);
    })), Promise.resolve());

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const source = new URL(url, document.baseURI).href.replaceAll('"', "%22");
      const element = document.createElement("iframe");
      element.hidden = true;
      document.body.append(element);
      const inside = element.contentWindow;
      inside.document.open();
      inside.importScripts = importScripts(inside.document);
      inside.postMessage = (data) => queueMicrotask(() => this.dispatchEvent(new MessageEvent("message", { data })));
      this.ready = new Promise((done) => (inside.started = () => done(inside)));
      // the first script with a source must be the worker's: it looks itself up
      inside.document.write(`<body><script src="${source}"></script><script>started()</script></body>`);
      inside.document.close();
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
    }
  }

  if (location.protocol === "file:") window.Worker = window.IFrameWorker = IFrameWorker;
})();
