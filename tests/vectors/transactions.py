"""Signed transactions of types 0, 1 and 2, and broken ones, each with the reason.

Source: the worked example of EIP-155; all others are signed by the PyPI package eth-account and
cross-checked, raw bytes, hash and sender, with the PyPI package ethereum-execution (the executable
specification, fork Osaka), which must also refuse every broken one that Ethereum refuses.
Writes transactions.json. Regenerate: pip install -r requirements.txt; python3 transactions.py
"""

import hashlib
import itertools
import json
import os

import rlp
from coincurve import PrivateKey
from eth_account import Account
from ethereum.crypto.hash import keccak256
from ethereum.forks.osaka import transactions as spec
from ethereum_rlp import rlp as spec_rlp
from ethereum_types.numeric import U64

HERE = os.path.dirname(os.path.abspath(__file__))
CHAIN_ID = 1337
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GWEI, ETHER = 10**9, 10**18
TO = "0x" + "35" * 20
EIP155_RAW = ("f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025"
              "a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"
              "a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83")


def key_of(number):
    """Secret key of the numbered test account."""
    return hashlib.sha256(b"lignum vector key %d" % number).digest()


def access_list(*entries):
    return [{"address": address, "storageKeys": keys} for address, keys in entries]


def word(number):
    return f"0x{number:064x}"


def sign(key, fields):
    return bytes(Account.sign_transaction(fields, key).raw_transaction)


def spec_decode(raw):
    """The transaction as the specification reads it, strictly: its bytes must come out again."""
    if raw[0] < 0xC0:
        tx = spec.decode_transaction(raw)
        assert spec.encode_transaction(tx) == raw
    else:
        tx = spec_rlp.decode_to(spec.LegacyTransaction, raw)
        assert spec_rlp.encode(tx) == raw
    return tx


def fields_json(tx):
    """The fields of a transaction, numbers in decimal as text, bytes in hex."""
    out = {"nonce": str(int(tx.nonce)), "gas_limit": str(int(tx.gas))}
    if isinstance(tx, spec.FeeMarketTransaction):
        out["max_fee"] = str(int(tx.max_fee_per_gas))
        out["priority_fee"] = str(int(tx.max_priority_fee_per_gas))
    else:
        out["gas_price"] = str(int(tx.gas_price))
    out["to"] = tx.to.hex() if tx.to else None
    out["value"] = str(int(tx.value))
    out["data"] = tx.data.hex()
    out["access_list"] = [
        {"address": entry.account.hex(), "slots": [slot.hex() for slot in entry.slots]}
        for entry in getattr(tx, "access_list", ())
    ]
    out["r"], out["s"] = f"{int(tx.r):064x}", f"{int(tx.s):064x}"
    return out


def signing_hash(tx, chain_id):
    if isinstance(tx, spec.LegacyTransaction):
        return spec.signing_hash_155(tx, U64(chain_id))
    if isinstance(tx, spec.AccessListTransaction):
        return spec.signing_hash_2930(tx)
    return spec.signing_hash_1559(tx)


def valid_json(name, raw, chain_id, key):
    """A valid transaction; `key` is None where the sender is nobody's address."""
    tx = spec_decode(raw)
    sender = spec.recover_sender(U64(chain_id), tx)
    if key is not None:
        assert Account.from_key(key).address.lower() == "0x" + sender.hex()
    legacy = raw[0] >= 0xC0
    parity = int(tx.v) - 35 - 2 * chain_id if legacy else int(tx.y_parity)
    return {
        "name": name,
        "type": 0 if legacy else raw[0],
        "chain_id": chain_id,
        "secret_key": key.hex() if key else None,
        "raw": raw.hex(),
        "hash": keccak256(raw).hex(),
        "signing_hash": signing_hash(tx, chain_id).hex(),
        "sender": sender.hex(),
        "y_parity": parity,
        **fields_json(tx),
    }


def legacy(**changes):
    return {"nonce": 0, "gasPrice": 2 * GWEI, "gas": 21000, "to": TO, "value": ETHER, "data": "0x",
            "chainId": CHAIN_ID} | changes


def listed(**changes):
    return legacy(accessList=[], type=1) | changes


def dynamic(**changes):
    base = listed(type=2, maxFeePerGas=3 * GWEI, maxPriorityFeePerGas=GWEI)
    del base["gasPrice"]
    return base | changes


def valid_cases():
    lists = [
        access_list((TO, [])),
        access_list((TO, [word(0), word(1)]), ("0x" + "00" * 20, [word(2**256 - 1)])),
        access_list((TO, [word(7), word(7)]), (TO, [word(7)])),
    ]
    cases = [("EIP-155 example", b"\x46" * 32, legacy(nonce=9, gasPrice=20 * GWEI, chainId=1))]
    for kind, make in [("legacy", legacy), ("access list", listed), ("dynamic fee", dynamic)]:
        cases += [
            (f"{kind}: transfer", key_of(1), make()),
            (f"{kind}: nothing to nobody", key_of(2), make(value=0, to="0x" + "00" * 20)),
            (f"{kind}: creation", key_of(3), make(to="", gas=100000, data="0x600160005500", value=0)),
            (f"{kind}: creation without code", key_of(3), make(to="", gas=53000, nonce=1)),
            (f"{kind}: one byte of data below 0x80", key_of(4), make(data="0x7f", gas=30000)),
            (f"{kind}: one zero byte of data", key_of(4), make(data="0x00", gas=30000)),
            (f"{kind}: one byte of data 0x80", key_of(4), make(data="0x80", gas=30000)),
            (f"{kind}: 55 bytes of data", key_of(5), make(data="0x" + "ab" * 55, gas=40000)),
            (f"{kind}: 56 bytes of data", key_of(5), make(data="0x" + "ab" * 56, gas=40000)),
            (f"{kind}: 300 bytes of data", key_of(5), make(data="0x" + "00ff" * 150, gas=60000)),
            (f"{kind}: great numbers", key_of(6), make(nonce=2**64 - 2, gas=2**24, value=2**256 - 1)),
            (f"{kind}: nonce 127", key_of(7), make(nonce=127)),
            (f"{kind}: nonce 128", key_of(7), make(nonce=128)),
            (f"{kind}: nonce 256", key_of(7), make(nonce=256)),
            (f"{kind}: chain id 1", key_of(8), make(chainId=1)),
            (f"{kind}: a great chain id", key_of(8), make(chainId=2**40 + 5)),
        ]
        cases += [(f"{kind}: secret key 1, nonce {n}", (1).to_bytes(32, "big"), make(nonce=n)) for n in range(12)]
    for make, kind in [(listed, "access list"), (dynamic, "dynamic fee")]:
        for number, entries in enumerate(lists):
            cases.append((f"{kind}: list {number}", key_of(9), make(accessList=entries, gas=90000)))
    cases.append(("legacy: price of 2^128 - 1 wei", key_of(10), legacy(gasPrice=2**128 - 1)))
    cases.append(("legacy: price 0", key_of(10), legacy(gasPrice=0)))
    cases.append(("dynamic fee: fees 0", key_of(10), dynamic(maxFeePerGas=0, maxPriorityFeePerGas=0)))
    cases.append(("dynamic fee: equal fees", key_of(10), dynamic(maxPriorityFeePerGas=3 * GWEI)))
    return cases


def valid():
    out = [valid_json(name, sign(key, fields), fields["chainId"], key) for name, key, fields in valid_cases()]
    example = out[0]
    assert example["raw"] == EIP155_RAW
    assert example["signing_hash"] == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    for name, fields in [("legacy", legacy()), ("access list", listed()), ("dynamic fee", dynamic())]:
        for part in (-2, -1):
            raw = short_signature(fields, part)
            out.append(valid_json(f"{name}: {'rs'[part]} below 2^248", raw, CHAIN_ID, key_of(11)))
    # The other parity of a good signature is a good signature too, of an address nobody holds.
    for name, fields in [("legacy", legacy()), ("access list", listed()), ("dynamic fee", dynamic())]:
        raw = sign(key_of(1), fields)
        flipped = edit(raw, parity=lambda p: p ^ 1)
        tx = valid_json(f"{name}: flipped parity, another sender", flipped, CHAIN_ID, None)
        assert tx["sender"] != Account.from_key(key_of(1)).address.lower()[2:]
        out.append(tx)
    return out


def short_signature(fields, part):
    """The first nonce's transaction whose r (part -2) or s (part -1) has at most 31 bytes."""
    for nonce in itertools.count():
        raw = sign(key_of(11), fields | {"nonce": nonce})
        if len(parts(raw)[1][part]) < 32:
            return raw


def parts(raw):
    """(prefix, list of fields) of an encoding."""
    prefix = raw[:1] if raw[0] < 0xC0 else b""
    return prefix, rlp.decode(raw[len(prefix):])


def join(prefix, items):
    return prefix + rlp.encode(items)


def number(data):
    return int.from_bytes(data, "big")


def minimal(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def edit(raw, parity=None, r=None, s=None, at=None, item=None):
    """A transaction with some parts replaced, without signing it again."""
    prefix, items = parts(raw)
    if parity is not None:
        base = 0 if prefix else 35 + 2 * CHAIN_ID
        items[-3] = minimal(base + parity(number(items[-3]) - base))
    if r is not None:
        items[-2] = r
    if s is not None:
        items[-1] = s
    if at is not None:
        items[at] = item
    return join(prefix, items)


def resign(raw, at, item, key=None):
    """A transaction with one field replaced by any bytes or list, and signed as it then stands."""
    prefix, items = parts(raw)
    items[at] = item
    unsigned = items[:-3] + ([] if prefix else [minimal(CHAIN_ID), b"", b""])
    signature = PrivateKey(key or key_of(1)).sign_recoverable(keccak256(join(prefix, unsigned)), hasher=None)
    v = signature[64] if prefix else signature[64] + 35 + 2 * CHAIN_ID
    r, s = (minimal(number(signature[i:i + 32])) for i in (0, 32))
    return join(prefix, items[:-3] + [minimal(v), r, s])


def envelope(kind, unsigned):
    """A signed transaction of another type, from its unsigned fields."""
    prefix = bytes([kind])
    signature = PrivateKey(key_of(1)).sign_recoverable(keccak256(join(prefix, unsigned)), hasher=None)
    r, s = (minimal(number(signature[i:i + 32])) for i in (0, 32))
    return join(prefix, unsigned + [minimal(signature[64]), r, s])


def list_header(length):
    return bytes([0xC0 + length]) if length < 56 else bytes([0xF7 + len(minimal(length))]) + minimal(length)


def splice(raw, at, encoded):
    """A transaction whose field `at` has the given encoding, canonical or not."""
    prefix, items = parts(raw)
    fields = [rlp.encode(item) for item in items]
    fields[at] = encoded
    payload = b"".join(fields)
    return prefix + list_header(len(payload)) + payload


def broken_signatures(kind, raw):
    _, items = parts(raw)
    high = minimal(ORDER - number(items[-1]))
    off_curve = next(x for x in range(1, 99) if pow(x**3 + 7, (2**256 - 2**32 - 978) // 2, 2**256 - 2**32 - 977) != 1)
    yield f"{kind}: high-s twin", edit(raw, parity=lambda p: p ^ 1, s=high), "T3", "s is above half the order"
    yield f"{kind}: high s, same parity", edit(raw, s=high), "T3", "s is above half the order"
    yield f"{kind}: r is zero", edit(raw, r=b""), "T3", "r is zero"
    yield f"{kind}: s is zero", edit(raw, s=b""), "T3", "s is zero"
    yield f"{kind}: r is the order", edit(raw, r=minimal(ORDER)), "T3", "r is not below the order"
    yield f"{kind}: s is the order", edit(raw, s=minimal(ORDER)), "T3", "s is above half the order"
    yield f"{kind}: s is half the order + 1", edit(raw, s=minimal(ORDER // 2 + 1)), "T3", "s is above half the order"
    yield f"{kind}: r is no point", edit(raw, r=minimal(off_curve)), "T3", "no curve point has this r"
    rule = ("T2", "v names no parity of this chain") if kind == "legacy" else ("T3", "y parity is neither 0 nor 1")
    yield f"{kind}: y parity 2", edit(raw, parity=lambda p: 2), *rule
    if kind != "legacy":
        yield f"{kind}: y parity 27", edit(raw, parity=lambda p: 27 + p), *rule
        yield f"{kind}: y parity is an encoded zero byte", edit(raw, at=-3, item=b"\0"), "T1", "leading zero"


def broken_encodings(kind, raw):
    prefix, items = parts(raw)
    body = raw[len(prefix):]
    start = 1 if prefix else 0
    to, value = items.index(bytes.fromhex(TO[2:])), items.index(bytes.fromhex(TO[2:])) + 1
    payload = b"".join(rlp.encode(item) for item in items)
    yield f"{kind}: a trailing zero", raw + b"\0", "bytes after the end"
    yield f"{kind}: twice", raw + raw, "bytes after the end"
    yield f"{kind}: a byte short", raw[:-1], "ends early"
    yield f"{kind}: only its first byte", raw[:1], "ends early"
    yield f"{kind}: one field too many", join(prefix, items + [b"\1"]), "an unknown field"
    yield f"{kind}: one field too few", join(prefix, items[:-1]), "a missing field"
    yield f"{kind}: an empty list", join(prefix, []), "missing fields"
    yield f"{kind}: a string in place of the list", prefix + rlp.encode(body), "not a list"
    yield f"{kind}: length above the payload", prefix + list_header(len(payload) + 1) + payload, "ends early"
    yield f"{kind}: length below the payload", prefix + list_header(len(payload) - 1) + payload, "bytes after the end"
    yield (f"{kind}: length with a leading zero", prefix + b"\xf9\0" + bytes([len(payload)]) + payload,
           "list length is not minimal")
    yield f"{kind}: nonce as a zero byte", splice(raw, start, b"\0"), "leading zero"
    yield f"{kind}: nonce 1 in two bytes", splice(raw, start, b"\x82\0\1"), "leading zero"
    yield f"{kind}: nonce 1 with a length byte", splice(raw, start, b"\x81\1"), "a byte below 0x80 stands for itself"
    yield f"{kind}: nonce in the long form", splice(raw, start, b"\xb8\1\x80"), "the long form is for 56 bytes and more"
    yield f"{kind}: value with a leading zero", resign(raw, value, b"\0" + items[value]), "leading zero"
    yield (f"{kind}: value in the long form", splice(raw, value, b"\xb8\x08" + items[value]),
           "the long form is for 56 bytes and more")
    yield f"{kind}: r with a leading zero", edit(raw, r=b"\0" + items[-2]), "leading zero"
    yield f"{kind}: s with a leading zero", edit(raw, s=b"\0" + items[-1]), "leading zero"
    yield f"{kind}: r of 33 bytes", edit(raw, r=b"\1" + items[-2].rjust(32, b"\1")), "r has more than 256 bits"
    yield f"{kind}: to of 19 bytes", resign(raw, to, items[to][:19]), "an address has 20 bytes or none"
    yield f"{kind}: to of 21 bytes", resign(raw, to, items[to] + b"5"), "an address has 20 bytes or none"
    yield f"{kind}: to of one zero byte", resign(raw, to, b"\0"), "an address has 20 bytes or none"
    yield f"{kind}: to is a list", resign(raw, to, []), "a list in place of bytes"
    yield f"{kind}: data is a list", resign(raw, value + 1, [b"\1"]), "a list in place of bytes"
    yield f"{kind}: nonce is a list", resign(raw, start, []), "a list in place of a number"
    yield f"{kind}: nonce of 65 bits", resign(raw, start, minimal(2**64)), "nonce has more than 64 bits"
    yield f"{kind}: value of 257 bits", resign(raw, value, minimal(2**256)), "value has more than 256 bits"
    if prefix:
        yield f"{kind}: without its type byte", body, "a legacy transaction has nine fields"
        yield f"{kind}: access list is a string", resign(raw, -4, b""), "bytes in place of a list"
        address, slot = b"\5" * 20, b"\6" * 32
        for name, entry in [("address of 19 bytes", [address[:19], [slot]]), ("slot of 31 bytes", [address, [slot[:31]]]),
                            ("slot of 33 bytes", [address, [slot + b"\6"]]), ("no slots field", [address]),
                            ("an extra field", [address, [slot], b""]), ("slots as bytes", [address, slot])]:
            yield f"{kind}: access list, {name}", resign(raw, -4, [entry]), "malformed access list"


def broken_rules(kind, make):
    """Well-formed and signed, yet refused without a look at the state."""
    yield f"{kind}: another chain", make(chainId=CHAIN_ID + 1), "T2", "signed for another chain"
    yield f"{kind}: Ethereum's chain", make(chainId=1), "T2", "signed for another chain"
    yield f"{kind}: nonce 2^64 - 1", make(nonce=2**64 - 1), "T4", "the nonce could not be increased"
    yield f"{kind}: gas 20,999", make(gas=20999), "T7", "below the intrinsic gas"
    yield f"{kind}: creation with gas 52,999", make(to="", gas=52999), "T7", "below the intrinsic gas"
    yield f"{kind}: calldata floor", make(data="0x" + "01" * 50, gas=21000 + 50 * 40 - 1), "T7", "below EIP-7623's floor"
    yield f"{kind}: gas 2^24 + 1", make(gas=2**24 + 1), "T7", "above EIP-7825's cap"
    if kind != "legacy":
        entry = access_list((TO, [word(1)]))
        yield f"{kind}: access list unpaid", make(accessList=entry, gas=21000 + 2400 + 1899), "T7", "below the intrinsic gas"
    if kind == "dynamic fee":
        fees = make(maxFeePerGas=GWEI, maxPriorityFeePerGas=GWEI + 1)
        yield f"{kind}: priority fee above the fee cap", fees, "T5", "priority fee above max fee"


def invalid_cases():
    """(name, raw, rule, why, chain-specific: True where Ethereum itself would take it)."""
    kinds = [("legacy", legacy), ("access list", listed), ("dynamic fee", dynamic)]
    for kind, make in kinds:
        raw = sign(key_of(1), make())
        for name, bad, rule, why in broken_signatures(kind, raw):
            yield name, bad, rule, why, False
        for name, bad, why in broken_encodings(kind, raw):
            yield name, bad, "T1", why, False
        for name, fields, rule, why in broken_rules(kind, make):
            yield name, sign(key_of(1), fields), rule, why, False
    raw = sign(key_of(1), legacy())
    before = legacy()
    del before["chainId"]
    yield "legacy: no chain id (pre EIP-155)", sign(key_of(1), before), "T2", "type 0 needs an EIP-155 chain id", True
    for v in (0, 1, 26, 29, 34):
        yield f"legacy: v {v}", edit(raw, at=-3, item=minimal(v)), "T2", "v names no chain", False
    yield "type 0 written as an envelope", b"\0" + raw, "T1", "type 0 has no type byte", False
    great = minimal(2**64 + 1337)
    for kind, make in kinds[1:]:
        huge = resign(sign(key_of(1), make()), 0, great)
        yield f"{kind}: chain id of 65 bits", huge, "T1 or T2", "not this chain, whatever its width", False
    typed = [minimal(CHAIN_ID), b"", minimal(GWEI), minimal(3 * GWEI), minimal(100000), bytes.fromhex(TO[2:]), b"", b"", []]
    blob = envelope(3, typed + [b"\1", [b"\1" + bytes(31)]])
    yield "type 3 (blob)", blob, "section 5", "type 3 is not in version 1", True
    inner = [minimal(CHAIN_ID), b"\2" * 20, b""]
    signature = PrivateKey(key_of(2)).sign_recoverable(keccak256(b"\5" + rlp.encode(inner)), hasher=None)
    authority = inner + [minimal(signature[64]), minimal(number(signature[:32])), minimal(number(signature[32:64]))]
    code = envelope(4, typed + [[authority]])
    yield "type 4 (set code)", code, "section 5", "type 4 is not in version 1", True
    for kind in (5, 0x7E, 0x7F):
        yield f"type {kind}", bytes([kind]) + raw, "T1", "unknown type", False
    yield "no bytes at all", b"", "T1", "empty", False
    yield "an empty string", b"\x80", "T1", "not a list", False
    yield "a wrapped envelope", rlp.encode(sign(key_of(1), dynamic())), "T1", "an envelope is not wrapped in a string", False


def spec_refuses(raw):
    """Whether the specification refuses these bytes for chain 1337, in decoding or in checking."""
    try:
        tx = spec_decode(raw)
        spec.recover_sender(U64(CHAIN_ID), tx)
        spec.validate_transaction(tx)
        # The fee caps and the chain id of typed transactions are checked against a block.
        if isinstance(tx, spec.FeeMarketTransaction) and tx.max_priority_fee_per_gas > tx.max_fee_per_gas:
            return True
        return getattr(tx, "chain_id", CHAIN_ID) != CHAIN_ID
    except Exception:
        return True


def invalid():
    out = []
    for name, raw, rule, why, ethereum_takes_it in invalid_cases():
        assert spec_refuses(raw) != ethereum_takes_it, name
        out.append({"name": name, "chain_id": CHAIN_ID, "raw": raw.hex(), "rule": rule, "why": why})
    return out


def main():
    document = {"valid": valid(), "invalid": invalid()}
    for part in document.values():
        names = [case["name"] for case in part]
        assert len(names) == len(set(names)), "names are unique"
        assert len(part) == len({case["raw"] for case in part}), "and so are the bytes"
    with open(os.path.join(HERE, "transactions.json"), "w") as out:
        json.dump(document, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
