/** Certificates as hex lines on standard input; for each "Ok" or the code of its refusal. */
import { createInterface } from "node:readline";
import { parseCertificate } from "../../console/verifier/core/x509.js";

for await (const line of createInterface({ input: process.stdin })) {
  try {
    parseCertificate(Uint8Array.from(Buffer.from(line, "hex")));
    console.log("Ok");
  } catch (error) {
    console.log(error.code ?? String(error));
  }
}
