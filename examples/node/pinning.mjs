// Mutual TLS with the server's key pinned:
//
// node pinning.mjs https://localhost:8444/secure 'sha256//…;sha256//…'
//
// The pins are what curl's --pinnedpubkey takes. They come on top of the usual verification.
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";
import { checkServerIdentity } from "node:tls";

function pinOf(certificate) {
  const spki = new X509Certificate(certificate.raw).publicKey.export({ type: "spki", format: "der" });
  return "sha256//" + createHash("sha256").update(spki).digest("base64");
}

// Connections are checked when they are made: an agent of its own has none that were made without pins.
function pinnedAgent(pins) {
  const pair = readFileSync("device.pem");
  return new Agent({
    ca: readFileSync("ca.pem"),
    cert: pair,
    key: pair,
    checkServerIdentity(host, certificate) {
      const shown = pinOf(certificate);
      if (!pins.includes(shown)) return new Error(`the server's key is not pinned: ${shown}`);
      return checkServerIdentity(host, certificate);
    },
  });
}

const [url, pins] = process.argv.slice(2);
try {
  if (!pins) throw new Error("usage: node pinning.mjs URL PINS");
  const options = { agent: pinnedAgent(pins.split(";")), signal: AbortSignal.timeout(10_000) };
  const [answer] = await once(request(url, options).end(), "response");
  const body = await text(answer);
  if (answer.statusCode !== 200) throw new Error(body);
  console.log(body);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
