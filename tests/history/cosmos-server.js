// The protocol of Cosmos DB, spoken by the package @vercel/cosmosdb-server, with faults on demand.
//
// `node cosmos-server.js PACKAGE` prints its port. Each line of standard input is a JSON object that
// replaces the faults: {"throttle": 3} answers the next 3 requests for documents with 429,
// {"cut": "before"} or {"cut": "after", "every": 4} drops every so manieth connection before or after the
// request was done, {"down": true} drops all of them, {"hang": true} never answers. Each is acknowledged by a line with what was done since.
"use strict";

const path = require("path");
const readline = require("readline");

const inside = file => require(path.join(process.argv[2], "lib", file));

// Version 1.0.1 stumbles over a document that is not there; Cosmos DB answers 404.
for (const file of ["handler/read-document", "handler/delete-document", "handler/replace-document"]) {
  const handler = inside(file);
  const answer = handler.default;
  handler.default = async (account, request, response, parameters) => {
    try {
      return await answer(account, request, response, parameters);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      response.statusCode = 404;
      return { code: "NotFound", message: "There is no such document." };
    }
  };
}

// A query of one partition looks at nothing else: this server looks at every document instead.
const items = inside("account/items").default.prototype;
const query = items.query;
items.query = function (parameters, options) {
  const partition = (parameters.parameters || []).find(each => each.name === "@partition");
  if (!partition) return query.call(this, parameters, options);
  const all = this._data;
  this._data = new Map([...all].filter(([, item]) => item.read().partitionKey === partition.value));
  try {
    return query.call(this, parameters, options);
  } finally {
    this._data = all;
  }
};

let faults = {};
let done = { requests: 0, throttled: 0, cut: 0 };
const server = inside("index").createHttpsServer({ keepAlive: true });
const [answer] = server.listeners("request");
server.removeAllListeners("request");
server.on("request", (request, response) => {
  done.requests += 1;
  const due = faults.cut && done.requests % (faults.every || 1) === 0;
  if (faults.down || (due && faults.cut === "before")) {
    done.cut += 1;
    request.socket.destroy();
    return;
  }
  if (faults.hang) return;
  if (faults.throttle > 0 && request.url.includes("/docs")) {
    faults.throttle -= 1;
    done.throttled += 1;
    response.writeHead(429, { "x-ms-retry-after-ms": "5", "content-type": "application/json" });
    response.end('{"code": "TooManyRequests", "message": "Request rate is large."}');
    return;
  }
  if (request.headers["content-length"] > 2 * 1024 * 1024) {
    request.resume();
    response.writeHead(413, { "content-type": "application/json" });
    response.end('{"code": "RequestEntityTooLarge", "message": "Request size is too large."}');
    return;
  }
  if (due && faults.cut === "after") {
    done.cut += 1;
    response.end = () => request.socket.destroy();
  }
  answer(request, response);
});

readline.createInterface({ input: process.stdin }).on("line", line => {
  const since = done;
  done = { requests: 0, throttled: 0, cut: 0 };
  faults = JSON.parse(line);
  console.log(JSON.stringify(since));
}).on("close", () => process.exit());

server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
