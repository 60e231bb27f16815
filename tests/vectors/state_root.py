"""State roots: a slow recursive specification of the state tree, and its vectors.

Source: protocol.md section 6, written from the text alone. Nothing is cached and nothing is
updated: each root and each proof is computed from the whole map.
Writes state_root.json. Needs nothing but Python 3. Regenerate: python3 state_root.py
"""

import hashlib
import json
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))
TERMINATOR = bytes(32)
KECCAK_OF_NOTHING = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def bit(key, depth):
    """Bit `depth` of a key, counted from the most significant bit of byte 0."""
    return key[depth // 8] >> (7 - depth % 8) & 1


def leaf(key, value):
    digest = sha256(key, sha256(value))
    return bytes([digest[0] | 0x80]) + digest[1:]


def inner(left, right):
    digest = sha256(left, right)
    return bytes([digest[0] & 0x7F]) + digest[1:]


def root(entries, depth=0):
    """root(S, depth) of a dict from keys to values."""
    if not entries:
        return TERMINATOR
    if len(entries) == 1:
        return leaf(*next(iter(entries.items())))
    halves = [{k: v for k, v in entries.items() if bit(k, depth) == side} for side in (0, 1)]
    return inner(root(halves[0], depth + 1), root(halves[1], depth + 1))


def proof(entries, key):
    """Siblings from the root downwards on the path of a key, and the leaf found there, if any."""
    siblings, depth = [], 0
    while len(entries) > 1:
        mine = {k: v for k, v in entries.items() if bit(k, depth) == bit(key, depth)}
        other = {k: v for k, v in entries.items() if bit(k, depth) != bit(key, depth)}
        siblings.append(root(other, depth + 1))
        entries, depth = mine, depth + 1
    return siblings, next(iter(entries.items()), None)


def replay(siblings, key, found):
    """The root that a proof leads to."""
    node = leaf(*found) if found else TERMINATOR
    for depth in reversed(range(len(siblings))):
        pair = (siblings[depth], node) if bit(key, depth) else (node, siblings[depth])
        node = inner(*pair)
    return node


def proof_json(entries, key):
    siblings, found = proof(entries, key)
    assert replay(siblings, key, found) == root(entries)
    return {
        "key": key.hex(),
        "kind": "inclusion" if key in entries else "exclusion",
        "siblings": [s.hex() for s in siblings],
        "leaf": {"key": found[0].hex(), "value": found[1].hex()} if found else None,
    }


def map_json(name, entries, probes=()):
    return {
        "name": name,
        "entries": [{"key": k.hex(), "value": v.hex()} for k, v in entries.items()],
        "root": root(entries).hex(),
        "proofs": [proof_json(entries, key) for key in probes],
    }


def flip(key, depth):
    """The key that shares exactly `depth` bits with a key, the rest as it was."""
    raw = bytearray(key)
    raw[depth // 8] ^= 0x80 >> depth % 8
    return bytes(raw)


def value(rng):
    return rng.randbytes(rng.choice([32, 32, 72]))


def maps(rng):
    """Maps with keys chosen directly, so that they may share up to 255 bits."""
    zero, ones = bytes(32), b"\xff" * 32
    yield map_json("empty", {}, [zero, ones, rng.randbytes(32)])
    for name, key in [("zero", zero), ("ones", ones), ("low bit", flip(zero, 255)), ("high bit", flip(zero, 0))]:
        yield map_json(f"one key: {name}", {key: value(rng)}, [key, flip(key, 0), flip(key, 255)])
    for size in [0, 1, 31, 32, 71, 72, 100]:
        yield map_json(f"one value of {size} bytes", {rng.randbytes(32): rng.randbytes(size)})
    for depth in [0, 1, 2, 3, 6, 7, 8, 9, 15, 16, 17, 63, 64, 127, 128, 200, 247, 248, 249, 253, 254, 255]:
        key = rng.randbytes(32)
        pair = {key: value(rng), flip(key, depth): value(rng)}
        probes = [key] + [flip(key, d) for d in {0, max(0, depth - 1), min(255, depth + 1)} - {depth}]
        yield map_json(f"pair sharing {depth} bits", pair, sorted(probes) if depth in (0, 7, 8, 64, 255) else [])
    for depth in [3, 100, 253]:
        key = rng.randbytes(32)
        keys = [key, flip(key, depth), flip(key, depth + 1), flip(flip(key, depth), depth + 2)]
        yield map_json(f"four sharing {depth} bits", {k: value(rng) for k in keys}, [keys[3]])
    key = rng.randbytes(32)
    comb = {flip(key, d): value(rng) for d in range(0, 256, 3)} | {key: value(rng)}
    yield map_json("comb: one key off the path at every third bit", comb, [key, flip(key, 3), flip(key, 4)])
    for size in [2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 17, 20, 25, 31, 32, 33, 40, 50, 64, 80, 100, 150, 200]:
        entries = {rng.randbytes(32): value(rng) for _ in range(size)}
        probes = [next(iter(entries)), rng.randbytes(32)] if size in (3, 10, 33, 100) else []
        yield map_json(f"{size} random keys", entries, probes)
    same = rng.randbytes(32)
    yield map_json("equal values", {rng.randbytes(32): same for _ in range(9)})


def account_entries(account):
    """Entries of one account of the JSON and of its slots; absent ones give none."""
    address = bytes.fromhex(account["address"])
    nonce, balance = int(account["nonce"]), int(account["balance"])
    code_hash = bytes.fromhex(account["code_hash"])
    entries = {}
    if nonce or balance or code_hash != KECCAK_OF_NOTHING:
        fields = nonce.to_bytes(8, "little") + balance.to_bytes(32, "big") + code_hash
        entries[sha256(address)] = fields
    for slot, word in account["storage"].items():
        if int(word, 16):
            entries[sha256(address, bytes.fromhex(slot))] = bytes.fromhex(word)
    return entries


def account_json(rng, nonce, balance, with_code=False, slots=0):
    numbers = list(range(slots // 2)) + [rng.getrandbits(256) for _ in range(slots - slots // 2)]
    words = [rng.getrandbits(rng.choice([1, 8, 160, 256])) for _ in numbers]
    return {
        "address": rng.randbytes(20).hex(),
        "nonce": str(nonce),
        "balance": str(balance),
        "code_hash": rng.randbytes(32).hex() if with_code else KECCAK_OF_NOTHING.hex(),
        "storage": {f"{n:064x}": f"{w:064x}" for n, w in zip(numbers, words)},
    }


def accounts(rng):
    """Whole states: accounts with nonce, balance, code hash and storage, as the ledger sees them."""
    wei = 10**18
    cases = [
        ("one funded account", [account_json(rng, 0, 5 * wei)]),
        ("one account with a nonce only", [account_json(rng, 1, 0)]),
        ("one contract, nothing else", [account_json(rng, 0, 0, True)]),
        ("an absent account", [account_json(rng, 0, 0)]),
        ("greatest nonce and balance", [account_json(rng, 2**64 - 1, 2**256 - 1)]),
        ("asymmetric numbers", [account_json(rng, 0x0102030405060708, int("0123456789abcdef" * 4, 16))]),
        ("a contract with one slot", [account_json(rng, 1, 7, True, 1)]),
        ("a contract with slots, some zero", [account_json(rng, 1, 7, True, 20)]),
        ("two accounts", [account_json(rng, 3, 1), account_json(rng, 0, 2**128 - 1)]),
        ("absent and present", [account_json(rng, 0, 0), account_json(rng, 9, wei)]),
        ("thirty mixed", [account_json(rng, rng.randrange(5), rng.getrandbits(90), n % 3 == 0, n % 4)
                          for n in range(30)]),
    ]
    for name, list_of in cases:
        entries = {}
        for account in list_of:
            entries |= account_entries(account)
        yield {
            "name": name,
            "accounts": list_of,
            "entries": [{"key": k.hex(), "value": v.hex()} for k, v in entries.items()],
            "root": root(entries).hex(),
        }


def sequence(rng, name, keys, steps):
    """A history: batches of writes and deletes (value null), with the root after each batch."""
    entries, history = {}, []
    for _ in range(steps):
        changes = {}
        for _ in range(rng.randrange(1, 6)):
            key = rng.choice(keys)
            changes[key] = None if rng.random() < 0.4 else value(rng)
        history.append(step(entries, changes))
    history.append(step(entries, {key: None for key in list(entries)}))
    assert history[-1]["root"] == TERMINATOR.hex()
    return {"name": name, "steps": history}


def step(entries, changes):
    for key, new in changes.items():
        if new is None:
            entries.pop(key, None)
        else:
            entries[key] = new
    listed = [{"key": k.hex(), "value": None if v is None else v.hex()} for k, v in changes.items()]
    return {"changes": listed, "root": root(entries).hex()}


def sequences(rng):
    key = rng.randbytes(32)
    near = [flip(key, d) for d in (0, 1, 2, 7, 8, 9, 100, 128, 250, 254, 255)] + [key]
    yield sequence(rng, "random keys", [rng.randbytes(32) for _ in range(40)], 60)
    yield sequence(rng, "keys that share long prefixes", near, 60)
    yield sequence(rng, "two keys that share 255 bits", [key, flip(key, 255)], 25)


def main():
    rng = random.Random("lignum state root 1")
    document = {"maps": list(maps(rng)), "accounts": list(accounts(rng)), "sequences": list(sequences(rng))}
    assert len(document["maps"]) >= 60
    with open(os.path.join(HERE, "state_root.json"), "w") as out:
        json.dump(document, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
