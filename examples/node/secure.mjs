// The private CA and mutual TLS.
//
// node secure.mjs https://localhost:8443/hello                the server proves itself
// node secure.mjs https://localhost:8444/secure device.pem    and the device does so too
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { text } from "node:stream/consumers";

const [url, device] = process.argv.slice(2);
try {
  if (!url) throw new Error("usage: node secure.mjs URL [device.pem]");
  const ca = readFileSync("ca.pem"); // trusts this CA, and none of the built-in ones
  const pair = device && readFileSync(device);
  const options = { ca, cert: pair, key: pair, signal: AbortSignal.timeout(10_000) };
  const [answer] = await once(request(url, options).end(), "response");
  const body = await text(answer);
  if (answer.statusCode !== 200) throw new Error(body);
  console.log(body);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
