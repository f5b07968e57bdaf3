// Has the CSR in next.csr certified; its key is in next.key. Node makes keys but no CSRs: openssl does.
//
// node enroll.mjs https://localhost:8445/sign-csr    the first time, by the token in the file `token`
// node enroll.mjs https://localhost:8444/renew       later, by the certificate in device.pem
//
// Writes device.pem, for its owner alone: the key, the certificate, then its chain.
import { once } from "node:events";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { createSecureContext } from "node:tls";

function proof(url) {
  if (new URL(url).pathname === "/sign-csr") {
    return { headers: { authorization: `Bearer ${readFileSync("token", "utf8").trim()}` } };
  }
  const pair = readFileSync("device.pem");
  return { cert: pair, key: pair };
}

const [url] = process.argv.slice(2);
try {
  if (!url) throw new Error("usage: node enroll.mjs URL");
  const key = readFileSync("next.key", "utf8");
  const options = { method: "POST", ca: readFileSync("ca.pem"), signal: AbortSignal.timeout(30_000), ...proof(url) };
  const [answer] = await once(request(url, options).end(readFileSync("next.csr")), "response");
  const certificate = await text(answer);
  if (answer.statusCode !== 200) throw new Error(certificate);
  createSecureContext({ cert: certificate, key }); // throws unless they belong together
  writeFileSync("device.new", key + certificate, { mode: 0o600, flush: true });
  renameSync("device.new", "device.pem"); // in one step: nobody reads a key without its certificate
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
