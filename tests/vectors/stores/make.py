#!/usr/bin/env python3
"""Writes a golden data directory with a `lignum` of the version whose format it shall have.

Usage: make.py LIGNUM OUT [HEIGHT]. OUT gets the compressed files of the store, the chain spec, and
expected.json: what the node that wrote them said of head, state and accounts. The chain has
transfers, a contract that stores what it is paid, a branch that was left near the head, a
transaction that waits in the pool, and, where the height (100 unless told otherwise) is above 80, a
checkpoint. A version that has `db import` writes the first blocks by it: each commit leaves old
pages behind, and the files are to be small. Nothing but Python 3; hashes differ from run to run,
since blocks carry the time.
"""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

CONTRACT = "0x00000000000000000000000000000000000c0de0"
# CALLVALUE, CALLER, SSTORE, STOP: the sender's slot becomes what was paid.
CODE = "0x34335500"
DEV_0 = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
DEV_1 = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
MINER = "dev:9"

lignum = pathlib.Path(sys.argv[1]).resolve()
out = pathlib.Path(sys.argv[2])
height = int(sys.argv[3]) if len(sys.argv) > 3 else 100
work = pathlib.Path(tempfile.mkdtemp())
directory = work / "first"
environment = {**os.environ, "LIGNUM_WALLET_DIR": str(work / "wallets")}


def spec():
    return {
        "config": {"chainId": 1337},
        "timestamp": str(int(time.time())),
        "gasLimit": "30000000",
        "baseFeePerGas": "1000000000",
        "lignum": {
            "spacing_secs": 1,
            "half_life_secs": 1_000_000_000,
            "pow_limit_bits": "0x207fffff",
            "genesis_bits": "0x207fffff",
            "reward_wei": "5000000000000000000",
            "halving_interval": 0,
            "block_bytes_max": 2_097_152,
            "base_fee_min": "1000000000",
            "dev": True,
        },
        "alloc": {
            DEV_0: {"balance": "1000000000000000000000"},
            DEV_1: {"balance": "1000000000000000000000"},
            CONTRACT: {"balance": "0", "code": CODE},
        },
    }


class Node:
    """A node on the directory, until it is left."""

    def __enter__(self):
        command = [lignum, "node", "--supervised", "--datadir", directory, "--network", work / "golden.json"]
        command += ["--port", "0", "--http.port", "0", "--beneficiary", MINER, "--log-level", "warn"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        endpoints = directory / "endpoints.json"
        while not endpoints.exists():
            if self.process.poll() is not None:
                sys.exit("the node has ended")
            time.sleep(0.05)
        time.sleep(0.2)
        self.url = json.loads(endpoints.read_text())["http"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit("the node has failed")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def verb(self, *words):
        subprocess.run([lignum, *words, "--node", self.url], check=True, env=environment, stdout=subprocess.DEVNULL)

    def order(self, *words):
        self.verb("dev", *words, "--datadir", directory)

    def send(self, to, amount, sender, *more):
        self.verb("wallet", "send", to, amount, "--from", sender, "--yes", *more)


def grow(node):
    for number in range(2, 9):
        node.send(f"dev:{number}", f"{number}.5", "dev:0")
        node.order("mine", "1")
    for number in range(2, 6):
        node.send(CONTRACT, f"0.{number}", f"dev:{number}", "--gas-limit", "100000", "--allow-high-fee")
    node.order("mine", "2")
    node.order("mine", str(height - 5 - node.get("/v1/status")["head"]["height"]))


def leave_a_branch(node):
    node.send("dev:2", "0.25", "dev:1")
    node.order("mine", "3")
    node.order("reorg", "--depth", "2")
    node.order("mine", "1")
    node.send("dev:3", "0.125", "dev:1")


def db(*words):
    return subprocess.run([lignum, "db", "--datadir", directory, *words], env=environment, capture_output=True)


def expected(node):
    head = node.get("/v1/blocks/head")
    accounts = {}
    for address in [DEV_0, DEV_1, CONTRACT]:
        account = node.get(f"/v1/accounts/{address}")["chain"]
        accounts[address] = {"balance": account["balance"], "nonce": account["nonce"]}
    tips = [branch["hash"] for branch in node.get("/v1/forest")["branches"]]
    return {
        "written_by": subprocess.run([lignum, "--version"], check=True, capture_output=True, text=True).stdout.strip(),
        "height": head["height"],
        "head": head["hash"],
        "state_root": head["state_root"],
        "accounts": accounts,
        "tips": sorted(tips),
        "pooled": node.get("/v1/pool")["count"],
    }


(work / "golden.json").write_text(json.dumps(spec(), indent=1) + "\n")
with Node() as node:
    grow(node)
if db("export", work / "blocks").returncode == 0:
    directory = work / "second"
    imported = db("import", work / "blocks", "--network", work / "golden.json")
    if imported.returncode != 0:
        sys.exit(imported.stderr)
else:
    (directory / "endpoints.json").unlink(missing_ok=True)
with Node() as node:
    leave_a_branch(node)
# Once more: what a start writes is in the files, too.
(directory / "endpoints.json").unlink(missing_ok=True)
with Node() as node:
    told = expected(node)
out.mkdir(parents=True, exist_ok=True)
for file in sorted(directory.glob("*.redb")):
    # Without name and time, so that equal files give equal bytes.
    (out / (file.name + ".gz")).write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))
shutil.copy(directory / "genesis.json", out / "genesis.json")
(out / "expected.json").write_text(json.dumps(told, indent=1) + "\n")
shutil.rmtree(work)
print(json.dumps(told, indent=1))
