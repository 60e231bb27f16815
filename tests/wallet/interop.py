"""Keystores and signatures between `lignum wallet` and eth-account, in both directions.

Usage: interop.py LIGNUM DIRECTORY. Ends with status 1 and the reason at the first disagreement.
Writes DIRECTORY/wallets/keys/ours.json, DIRECTORY/password and DIRECTORY/wrong for whoever comes next.
"""

import json
import pathlib
import subprocess
import sys

from eth_account import Account
from eth_account.messages import encode_defunct

SECRET = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
PASSWORD = "correct horse"
MESSAGE = "Some data"

lignum, directory = sys.argv[1], pathlib.Path(sys.argv[2])
address = Account.from_key(SECRET).address
(directory / "password").write_text(PASSWORD + "\n")
(directory / "wrong").write_text("wrong horse\n")


def wallet(*words, password="password", answers=""):
    """Runs a verb of `lignum wallet` with a password file."""
    command = [lignum, "wallet", *words, "--wallet-dir", str(directory / "wallets")]
    if password:
        command += ["--password-file", str(directory / password)]
    return subprocess.run(command, input=answers, capture_output=True, text=True, check=False)


def demand(holds, what, why=""):
    if not holds:
        sys.exit(f"interop: not so: {what}\n{why}")
    print(f"ok: {what}")


made = wallet("import", "ours", answers=SECRET + "\n")
demand(made.returncode == 0 and address in made.stdout, "a raw key is imported", made.stderr)
ours = json.loads((directory / "wallets/keys/ours.json").read_text())
demand(ours["crypto"]["kdfparams"]["n"] == 2**17, "our file has N = 2^17")
demand(Account.decrypt(ours, PASSWORD).to_0x_hex() == SECRET, "eth-account opens our file")
try:
    Account.decrypt(ours, "wrong horse")
    opened = True
except ValueError:
    opened = False
demand(not opened, "eth-account refuses a wrong password for our file")

for kdf, cost in [("scrypt", 2**13), ("pbkdf2", 10_000)]:
    theirs = directory / f"eth-account-{kdf}.json"
    theirs.write_text(json.dumps(Account.encrypt(SECRET, PASSWORD, kdf=kdf, iterations=cost)))
    refused = wallet("import", f"wrong-{kdf}", "--file", str(theirs), password="wrong")
    demand(refused.returncode == 8, f"we refuse a wrong password for eth-account's {kdf} file")
    taken = wallet("import", f"theirs-{kdf}", "--file", str(theirs))
    demand(address in taken.stdout, f"we open eth-account's {kdf} file", taken.stderr)

signed = wallet("sign-message", MESSAGE, "--from", "ours").stdout.strip()
recovered = Account.recover_message(encode_defunct(text=MESSAGE), signature=signed)
demand(recovered == address, "eth-account knows the signer of our message")
theirs = Account.sign_message(encode_defunct(text=MESSAGE), SECRET).signature.to_0x_hex()
demand(theirs == signed, "eth-account signs the same bytes")
