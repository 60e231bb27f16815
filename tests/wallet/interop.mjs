// Keystores between `lignum wallet` and ethers, in both directions.
//
// Usage: node interop.mjs LIGNUM DIRECTORY, after interop.py, in a directory where ethers is found.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

// Wherever this file lies, ethers is that of the working directory.
const { Wallet, decryptKeystoreJsonSync, encryptKeystoreJsonSync } = createRequire(
  process.cwd() + "/",
)("ethers");

const [lignum, directory] = process.argv.slice(2);
const password = readFileSync(`${directory}/password`, "utf8").trim();
const read = (name) => readFileSync(`${directory}/${name}`, "utf8");

function demand(holds, what, why = "") {
  if (!holds) {
    console.error(`interop: not so: ${what}\n${why}`);
    process.exit(1);
  }
  console.log(`ok: ${what}`);
}

function opens(text, secret) {
  try {
    return decryptKeystoreJsonSync(text, secret).address;
  } catch (error) {
    if (error.code === "INVALID_ARGUMENT" && /incorrect password/.test(error.message)) return null;
    throw error;
  }
}

function take(name, file, secret) {
  const words = ["wallet", "import", name, "--file", file];
  const where = ["--wallet-dir", `${directory}/wallets`, "--password-file", `${directory}/${secret}`];
  return spawnSync(lignum, [...words, ...where], { encoding: "utf8" });
}

const ours = read("wallets/keys/ours.json");
const address = execFileSync(
  lignum,
  ["wallet", "address", "ours", "--wallet-dir", `${directory}/wallets`],
  { encoding: "utf8" },
).trim();
demand(opens(ours, password) === address, "ethers opens our file");
demand(opens(ours, "wrong horse") === null, "ethers refuses a wrong password for our file");

const wallet = new Wallet(decryptKeystoreJsonSync(ours, password).privateKey);
const account = { address: wallet.address, privateKey: wallet.privateKey };
const file = `${directory}/ethers.json`;
writeFileSync(file, encryptKeystoreJsonSync(account, password, { scrypt: { N: 8192 } }));
demand(take("wrong-ethers", file, "wrong").status === 8, "we refuse a wrong password for ethers' file");
const taken = take("theirs-ethers", file, "password");
demand(taken.stdout.includes(address), "we open ethers' file", taken.stderr);
