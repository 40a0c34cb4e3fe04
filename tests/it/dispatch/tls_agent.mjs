// An agent over TLS, HTTP/2 or 1.1, that answers how it was called. Its port comes on standard output.
import { createSecureServer } from "node:http2";
import { readFileSync } from "node:fs";

const [key, cert] = process.argv.slice(2).map((file) => readFileSync(file));
const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
  request.resume();
  request.on("end", () => {
    const output = { http: request.httpVersion, authorization: request.headers.authorization ?? null };
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ status: "SUCCEEDED", output }));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
