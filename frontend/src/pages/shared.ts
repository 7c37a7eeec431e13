// A shared worker: one stream for all tabs of a browser, which opens at most six connections to a host.
//
// It ends by itself with the last page that uses it. A page says where the stream is, and then "again" when it has
// heard nothing for long, or "bye". Every page is told what the stream says.

import { Stream } from "../stream";

const ports = new Set<MessagePort>();
let stream: Stream | undefined;

addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0]!;
  port.onmessage = ({ data }: MessageEvent<string>) => {
    if (data === "again") {
      stream?.again();
    } else if (data === "bye") {
      ports.delete(port);
      if (!ports.size) stream = void stream?.close();
    } else {
      ports.add(port);
      if (stream?.isOpen) port.postMessage("open");
      if (!stream) {
        stream = new Stream(data, (what) => ports.forEach((each) => each.postMessage(what)));
        stream.open();
      }
    }
  };
});
