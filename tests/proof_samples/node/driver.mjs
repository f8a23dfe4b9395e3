// Checks the proofs on standard input, one line of three texts between tabs each, by the sample in the README.
import { createInterface } from "node:readline";
import { verifyProof } from "./sample.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const [token, phone, purpose] = line.split("\t");
  try {
    console.log("ok " + (await verifyProof(token, phone, purpose)).jti);
  } catch (error) {
    console.log("refused " + error.message);
  }
}
