"""The scenarios of evm.py: blocks of transactions with the contracts they call, in a tiny assembler.

Source: written for Lignum; random programs come from fixed seeds. It writes nothing by itself.
"""

import hashlib
import random

from cryptography.hazmat.primitives.asymmetric import ec
from eth_account import Account as Signer
from ethereum.crypto.hash import keccak256
from ethereum.forks.osaka.vm.instructions import Ops

from evm_block import ETHER, GWEI, Block, address_of, created_at

CHAIN_LENGTH = 10
KEYS = [hashlib.sha256(b"lignum vector key %d" % n).digest() for n in range(20)]
NOBODY = [bytes([0xA0 + n]) * 20 for n in range(8)]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BLS_G1 = bytes.fromhex(
    "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
    "6c55e83ff97a1aeffb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4"
    "fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1")


def asm(*items):
    """Code from opcode names, numbers (pushed), raw bytes, ':label' (a JUMPDEST) and '@label'."""
    code, labels, holes = bytearray(), {}, []
    for item in items:
        if isinstance(item, bytes):
            code += item
        elif isinstance(item, int):
            width = (item.bit_length() + 7) // 8
            code += bytes([0x5F + width]) + item.to_bytes(width, "big")
        elif item[0] == ":":
            labels[item[1:]] = len(code)
            code.append(0x5B)
        elif item[0] == "@":
            holes.append((len(code) + 1, item[1:]))
            code += b"\x61\0\0"
        else:
            code.append({"KECCAK256": 0x20, "INVALID": 0xFE}.get(item) or Ops[item].value)
    for at, label in holes:
        code[at:at + 2] = labels[label].to_bytes(2, "big")
    return bytes(code)


def push(data):
    """An address or a word as a number to push."""
    return int.from_bytes(data, "big")


def word(number):
    return (number % 2**256).to_bytes(32, "big")


def words(*numbers):
    return b"".join(word(n) for n in numbers)


def deployer(runtime, before=()):
    """Init code that runs some code and then deploys the runtime."""
    head = asm(*before)
    for guess in range(7, 20):
        tail = asm(len(runtime), "DUP1", len(head) + guess, 0, "CODECOPY", 0, "RETURN")
        if len(tail) == guess:
            return head + tail + runtime
    raise AssertionError


def store_code(data, at=0):
    """Items that put bytes into memory, by words."""
    items = []
    for offset in range(0, len(data), 32):
        items += [push(data[offset:offset + 32].ljust(32, b"\0")), at + offset, "MSTORE"]
    return items


# Writes pairs of words (slot, value) of the calldata into storage.
WRITER = asm(0, ":loop", "DUP1", "CALLDATASIZE", "GT", "ISZERO", "@end", "JUMPI", "DUP1", 32, "ADD",
             "CALLDATALOAD", "DUP2", "CALLDATALOAD", "SSTORE", 64, "ADD", "@loop", "JUMP", ":end", "STOP")

# Calls the address in the first word of the calldata with the rest and the value; notes the result.
PROBE = asm(32, "CALLDATASIZE", "SUB", 32, 0, "CALLDATACOPY",
            0, 0, 32, "CALLDATASIZE", "SUB", 0, "CALLVALUE", 0, "CALLDATALOAD", 250_000, "CALL",
            0, "SLOAD", 1, "ADD", "DUP1", 0, "SSTORE", 8, "SHL",
            "SWAP1", "DUP2", "SSTORE", "RETURNDATASIZE", "DUP2", 1, "ADD", "SSTORE",
            "RETURNDATASIZE", 0, 0, "RETURNDATACOPY", "RETURNDATASIZE", 0, "KECCAK256", "SWAP1", 2, "ADD", "SSTORE")


def funded(block, count=6):
    for key in KEYS[:count]:
        block.account(address_of(key), 1000 * ETHER)
    return KEYS[:count]


def transfers():
    b = Block("transfers", "Plain transfers of all types; no account is made by a transfer or a tip of zero.")
    a, c, d, *_ = funded(b)
    b.account(NOBODY[0], 5)
    for kind in (0, 1, 2):
        b.send(a, NOBODY[0], f"type {kind} to a known account", kind=kind, value=ETHER, gas=21000)
        b.send(a, NOBODY[kind + 1], f"type {kind} to a new account", kind=kind, value=1 + kind, gas=50000)
    b.send(a, NOBODY[5], "zero to a new account", value=0)
    b.send(a, address_of(a), "to oneself", value=7 * ETHER)
    b.send(c, (4).to_bytes(20, "big"), "value to a precompile", value=3, data=b"identity")
    b.send(c, (1).to_bytes(20, "big"), "zero to a precompile", data=b"x")
    b.send(c, bytes(20), "to the zero address", value=9)
    b.send(d, NOBODY[6], "the whole balance", kind=0, price=2 * GWEI, gas=21000, value=1000 * ETHER - 42000 * GWEI)
    yield b
    b = Block("no tip", "All transactions pay the base fee exactly: the beneficiary gets no account.")
    a, *_ = funded(b)
    b.send(a, NOBODY[0], "type 0", kind=0, price=GWEI, value=1, gas=21000)
    b.send(a, NOBODY[0], "type 2, tip 0", tip=0, value=1, gas=21000)
    b.send(a, NOBODY[0], "type 2, no room for the tip", max_fee=GWEI, tip=GWEI, value=1, gas=21000)
    yield b


def fees():
    b = Block("fees", "Tips capped by the fee cap, and a beneficiary that also sends and receives.",
              beneficiary=address_of(KEYS[0]), base_fee=7 * GWEI + 3)
    a, c, d, *_ = funded(b)
    b.send(a, NOBODY[0], "the beneficiary sends", value=1, gas=21000)
    b.send(c, address_of(a), "the beneficiary receives", value=ETHER, gas=30000, kind=1, price=9 * GWEI)
    b.send(c, NOBODY[0], "tip capped", max_fee=8 * GWEI, tip=5 * GWEI, gas=21000)
    b.send(c, NOBODY[0], "tip of one wei", max_fee=1000 * GWEI, tip=1, gas=21000)
    b.send(d, NOBODY[0], "all fee is tip", max_fee=100 * GWEI, tip=100 * GWEI, gas=21000)
    b.send(d, NOBODY[0], "type 0 below the base fee", kind=0, price=7 * GWEI + 2, gas=21000, rejected="T5")
    b.send(d, NOBODY[0], "type 2 below the base fee", max_fee=7 * GWEI + 2, tip=0, gas=21000, rejected="T5")
    b.send(d, NOBODY[0], "type 1 at the base fee", kind=1, price=7 * GWEI + 3, gas=21000)
    yield b


def creation():
    b = Block("creation", "Creating transactions: code, none, reverted, too large, 0xef, out of gas, collisions.")
    a, c, d, *_ = funded(b)
    for kind in (0, 1, 2):
        b.send(a, label=f"type {kind} with code", kind=kind, data=deployer(WRITER, [7, 1, "SSTORE"]), value=kind)
    b.send(a, label="no init code", value=5)
    b.send(a, label="storage but no code", data=asm(9, 9, "SSTORE"))
    b.send(a, label="reverts", data=asm(32, 0, "REVERT"), value=4)
    b.send(a, label="invalid opcode", data=asm("INVALID"), gas=90000)
    b.send(a, label="code starting 0xef (EIP-3541)", data=deployer(b"\xef\0"), gas=90000)
    b.send(a, label="code of 24,576 bytes", data=asm(24576, 0, "RETURN"), gas=6_000_000)
    b.send(a, label="code of 24,577 bytes (EIP-170)", data=asm(24577, 0, "RETURN"), gas=6_000_000)
    b.send(a, label="too little gas for the code", data=asm(1000, 0, "RETURN"), gas=100_000)
    b.send(a, label="stops at once", data=asm("STOP"))
    b.send(a, label="49,152 bytes of init code (EIP-3860)", data=bytes(49152), gas=3_000_000)
    b.send(a, label="49,153 bytes of init code", data=bytes(49153), gas=3_000_000, rejected="T7")
    b.account(created_at(address_of(c), 0), 3, 1, b"\0")
    b.account(created_at(address_of(c), 1), 3, 1)
    b.account(created_at(address_of(c), 2), 11)
    b.send(c, label="collides with code", data=deployer(WRITER), value=1)
    b.send(c, label="collides with a nonce", data=deployer(WRITER), value=1)
    b.send(c, label="joins a mere balance", data=deployer(WRITER), value=1)
    maker = b.contract(1, asm(*store_code(deployer(b"\0")), len(deployer(b"\0")), 0, 1, "CREATE", 0, "SSTORE",
                              0, 0, 2**100, "CREATE", 2, "ADD", 1, "SSTORE"), balance=2)
    b.send(d, maker, "CREATE, then without the money", gas=500_000)
    b.send(d, maker, "the same again", gas=500_000)
    b.send(d, b.contract(2, asm(49153, 0, 0, "CREATE")), "CREATE with too much init code")
    b.send(d, b.contract(3, asm(49152, 0, 0, "CREATE", 0, "SSTORE")), "CREATE with as much as may be")
    yield b
    b = Block("nonce limit", "CREATE by a contract whose nonce cannot grow gives zero and costs no more.")
    a, *_ = funded(b)
    code = asm(0, 0, 0, "CREATE", 1, "ADD", 0, "SSTORE")
    full = b.account(b"\xdd" * 20, 1, 2**64 - 1, code)
    almost = b.account(b"\xde" * 20, 1, 2**64 - 2, code)
    b.send(a, full, "nonce 2^64 - 1")
    b.send(a, almost, "nonce 2^64 - 2")
    b.send(a, almost, "and again")
    yield b


def storage():
    b = Block("storage", "Storage writes and refunds by EIP-2200, 2929, 3529, the refund capped to a fifth.")
    a, c, *_ = funded(b)
    w = b.contract(1, WRITER, storage={n: n + 100 for n in range(30)})
    cases = {
        "fresh slots": [(100, 1), (101, 2), (2**256 - 1, 2**256 - 1)],
        "same value": [(5, 105)], "another value": [(5, 6)], "zero to zero": [(777, 0)],
        "clear one": [(6, 0)], "clear many: the refund is capped": [(n, 0) for n in range(7, 25)],
        "clear and set back": [(25, 0), (25, 125)], "clear and set to another": [(26, 0), (26, 1)],
        "set, clear a fresh slot": [(200, 1), (200, 0)], "change and set back": [(27, 1), (27, 127)],
        "change, clear, change": [(28, 1), (28, 0), (28, 2)], "clear, set, clear": [(29, 0), (29, 1), (29, 0)],
        "fresh three times": [(201, 1), (201, 2), (201, 3)],
    }
    for label, pairs in cases.items():
        b.send(a, w, label, data=words(*(n for pair in pairs for n in pair)), gas=600_000)
    b.send(c, w, "warmed by the access list", data=words(100, 0, 101, 9), access=[(w, [100, 101])])
    b.send(c, w, "out of gas: nothing stays", data=words(300, 1, 301, 1, 302, 1), gas=60_000)
    b.send(c, w, "2,300 gas left are not enough to write (EIP-2200)", data=words(4, 6), gas=21280 + 2330)
    yield b


def logs():
    b = Block("logs", "LOG0 to LOG4, empty and long data, logs lost with what failed, blooms.")
    a, *_ = funded(b)
    for topics in range(5):
        code = asm(*store_code(bytes(range(1, 65))), *[2**255 + n for n in range(topics)], 40, 3, f"LOG{topics}",
                   *[n for n in range(topics)], 0, 0, f"LOG{topics}")
        b.send(a, b.contract(topics, code), f"LOG{topics}")
    inner = b.contract(10, asm(1, 0, 0, "LOG1", 0, 0, "REVERT"))
    fine = b.contract(11, asm(2, 0, 0, "LOG1"))
    both = asm(*[x for to in (inner, fine) for x in (0, 0, 0, 0, 0, push(to), "GAS", "CALL", "POP")], 5, 5, 1000, 0, "LOG2")
    b.send(a, b.contract(12, both), "one of two calls reverts")
    b.send(a, inner, "the transaction reverts")
    static = b.contract(13, asm(0, 0, 0, 0, push(fine), "GAS", "STATICCALL", 0, "SSTORE"))
    b.send(a, static, "a log in a static call")
    b.send(a, label="logs of init code", data=asm(7, 8, 9, 1, 32, 0, "LOG4"))
    yield b


def failures():
    b = Block("failures", "Every way to fail keeps the fee and the nonce, and nothing else.")
    a, *_ = funded(b)
    codes = {
        "revert with data": asm(1, 1, "SSTORE", 99, 0, "MSTORE", 32, 0, "REVERT"),
        "invalid opcode": asm(1, 1, "SSTORE", "INVALID"), "unknown opcode": b"\x0c", "stack underflow": asm("ADD"),
        "jump to no JUMPDEST": asm(3, "JUMP"), "jump into push data": asm(4, "JUMP", b"\x61\x5b\x5b"),
        "a jump past the code": asm(2**200, "JUMP"), "endless loop": asm(":x", "@x", "JUMP"),
        "stack overflow": asm(":x", 1, "@x", "JUMP"), "memory beyond all gas": asm(1, 2**64, "MSTORE"),
        "return data beyond its end": asm(1, 0, 0, "RETURNDATACOPY"), "push at the end": b"\x7f\x01",
        "MLOAD far away": asm(2**20, "MLOAD"), "returns much": asm(10000, 0, "RETURN"),
        "EXTCODECOPY beyond all gas": asm(2**70, 0, 0, 0, "EXTCODECOPY"), "KECCAK of much": asm(2**60, 0, "KECCAK256"),
    }
    for number, (label, code) in enumerate(codes.items()):
        b.send(a, b.contract(number + 1, code, balance=1), label, value=3, gas=100_000)
    write = b.contract(100, asm(1, 1, "SSTORE"))
    for number, item in enumerate([asm(1, 1, "SSTORE"), asm(1, 1, "TSTORE"), asm(0, 0, 0, "CREATE"),
                                   asm(0, "SELFDESTRUCT"), asm(0, 0, 0, 0, 1, push(write), "GAS", "CALL"),
                                   asm(0, 0, 0, 0, 0, push(write), "GAS", "CALL", "STOP")]):
        target = b.contract(101 + number, item, balance=5)
        caller = b.contract(151 + number, asm(0, 0, 0, 0, push(target), 50000, "STATICCALL", 2, "ADD", 0, "SSTORE"))
        b.send(a, caller, f"forbidden in a static call, {number}")
    deep = b.contract(200, asm(0, 0, 0, 0, 0, "ADDRESS", "GAS", "CALL", 0, "SLOAD", 1, "ADD", 0, "SSTORE"))
    b.send(a, deep, "recursion until the gas is gone", gas=1_500_000)
    yield b


def create2():
    b = Block("create2", "CREATE2: a factory, the same address twice, a destroyed one made again.")
    a, *_ = funded(b)
    # Calldata: salt, then init code; stores the address in the slot of the salt.
    factory = b.contract(1, asm(32, "CALLDATASIZE", "SUB", 32, 0, "CALLDATACOPY", 0, "CALLDATALOAD",
                                32, "CALLDATASIZE", "SUB", 0, "CALLVALUE", "CREATE2", 0, "CALLDATALOAD", "SSTORE"))
    init = deployer(asm(push(NOBODY[0]), "SELFDESTRUCT"))
    b.send(a, factory, "deploys", data=word(1) + init, value=1, gas=300_000)
    b.send(a, factory, "collides", data=word(1) + init, value=1, gas=2_000_000)
    b.send(a, factory, "another salt", data=word(2) + init, gas=300_000)
    b.send(a, factory, "reverting init code", data=word(3) + asm(0, 0, "REVERT"), gas=300_000)
    made = keccak256(b"\xff" + factory + word(4) + keccak256(init))[12:]
    b.account(made, 77)
    b.send(a, factory, "at an address with a balance", data=word(4) + init, value=2, gas=300_000)
    twice = [*store_code(init), 5, len(init), 0, 3, "CREATE2"]
    call = [0, 0, 0, 0, 0, "DUP6", "GAS", "CALL", "POP"]
    again = b.contract(2, asm(*twice, *call, 0, "SSTORE", *twice, 1, "ADD", 1, "SSTORE"), balance=50)
    b.send(a, again, "made and destroyed, then made again in one transaction: a collision", gas=3_000_000)
    b.send(a, again, "and in the next transaction", gas=3_000_000)
    yield b


def selfdestruct():
    b = Block("selfdestruct", "EIP-6780: only in the creating transaction does it delete, and may destroy ether.")
    a, c, *_ = funded(b)
    heir = NOBODY[1]
    old = b.contract(1, asm(push(heir), "SELFDESTRUCT"), balance=ETHER, storage={1: 1})
    own = b.contract(2, asm("ADDRESS", "SELFDESTRUCT"), balance=ETHER, storage={1: 1})
    empty = b.contract(3, asm(push(NOBODY[2]), "SELFDESTRUCT"))
    b.send(a, old, "an old contract, to an heir", value=5)
    b.send(a, old, "the same again: nothing to give")
    b.send(a, own, "an old contract, to itself", value=5)
    b.send(a, empty, "an old contract without a balance, to nobody")
    b.send(a, label="in init code, to an heir", data=asm(1, 1, "SSTORE", push(heir), "SELFDESTRUCT"), value=10)
    b.send(a, label="in init code, to itself: destroyed", data=asm("ADDRESS", "SELFDESTRUCT"), value=11)
    b.send(a, label="in init code, to its creator", data=asm("CALLER", "SELFDESTRUCT"), value=12)
    runtime = deployer(asm("ADDRESS", "SELFDESTRUCT"))
    create = [*store_code(runtime), len(runtime), 0, 20, "CREATE"]
    call = [0, 0, 0, 0, 3, "DUP6", "GAS", "CALL", "POP"]
    maker = b.contract(4, asm(*create, *call, *call, "BALANCE", 0, "SSTORE"), balance=1000)
    b.send(a, maker, "made, destroyed to itself, paid again: all destroyed", gas=400_000)
    heired = deployer(asm(1, 1, "SSTORE", push(heir), "SELFDESTRUCT"))
    create = [*store_code(heired), len(heired), 0, 20, "CREATE"]
    maker = b.contract(5, asm(*create, *call, "DUP1", "EXTCODESIZE", 1, "SSTORE", *call, 0, "SSTORE"), balance=1000)
    b.send(a, maker, "made, destroyed to an heir twice, its code still seen", gas=400_000)
    late = b.send(a, label="made in one transaction", data=heired, value=30)
    b.send(a, late, "destroyed in the next: stays")
    reverted = asm(*create, *call, 0, 0, "REVERT")
    b.send(a, b.contract(6, reverted, balance=1000), "destroyed in a call that reverts", gas=400_000)
    refund = asm(*create, "POP", *create, *call, "POP", push(heir), "SELFDESTRUCT")
    b.send(c, b.contract(7, refund, balance=1000), "its maker gives up too, but stays", gas=500_000)
    yield b
    beneficiary = created_at(address_of(KEYS[0]), 0)
    b = Block("selfdestruct of the beneficiary", "The tip goes to the beneficiary before it is deleted, and is destroyed.",
              beneficiary=beneficiary)
    a, c, *_ = funded(b)
    b.send(a, label="the beneficiary made and destroyed", data=asm("ADDRESS", "SELFDESTRUCT"), value=10)
    b.send(c, NOBODY[0], "a later tip makes it anew", value=1)
    yield b


def p256_signature(digest, secret, nonce):
    """ECDSA on P-256 with a chosen nonce: deterministic."""
    public = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    r = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers().x % P256_ORDER
    s = pow(nonce, -1, P256_ORDER) * (push(digest) + r * secret) % P256_ORDER
    return digest + words(r, s, public.x, public.y)


def modexp(base, exponent, modulus):
    return words(len(base), len(exponent), len(modulus)) + base + exponent + modulus


def precompile_inputs(rng):
    digest = hashlib.sha256(b"a message").digest()
    signed = Signer.unsafe_sign_hash(digest, KEYS[0])
    good = digest + words(signed.v, signed.r, signed.s)
    yield 1, "ecrecover", good
    yield 1, "ecrecover, a high s is fine here", digest + words(55 - signed.v, signed.r, ORDER - signed.s)
    yield 1, "ecrecover, bad v", digest + words(26, signed.r, signed.s)
    yield 1, "ecrecover, r zero", digest + words(27, 0, signed.s)
    yield 1, "ecrecover, short input", good[:100]
    yield 1, "ecrecover, long input", good + b"more"
    for number, name in [(2, "sha256"), (3, "ripemd160"), (4, "identity")]:
        yield number, f"{name}, nothing", b""
        yield number, f"{name}, 100 bytes", rng.randbytes(100)
    r = rng.randbytes
    for label, data in [("small", modexp(b"\3", b"\5", b"\x0d")), ("modulus zero", modexp(b"\3", b"\5", b"\0")),
                        ("modulus one", modexp(b"\3", b"\5", b"\1")), ("all empty", modexp(b"", b"", b"")),
                        ("no input", b""), ("32 bytes", modexp(r(32), r(32), r(32))),
                        ("33-byte exponent", modexp(r(64), r(33), r(64))), ("odd lengths", modexp(r(7), r(3), r(41))),
                        ("exponent zero", modexp(r(32), b"\0", r(32))), ("256 bytes", modexp(r(256), b"\1\0\1", r(256))),
                        ("1,024 bytes", modexp(r(1024), b"\3", r(1024))),
                        ("1,025 bytes (EIP-7823)", modexp(r(1025), b"\3", r(5))),
                        ("a length of 2^200", words(1, 1, 2**200) + b"\2\3"), ("cut short", modexp(r(32), r(32), r(32))[:110])]:
        yield 5, f"modexp, {label}", data
    yield 6, "bn254 add", words(1, 2, 1, 2)
    yield 6, "bn254 add, infinity", b""
    yield 6, "bn254 add, off the curve", words(1, 3, 1, 2)
    yield 7, "bn254 mul", words(1, 2, 2**255 + 12345)
    yield 7, "bn254 mul by zero", words(1, 2, 0)
    yield 8, "bn254 pairing of nothing", b""
    g2 = words(0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
               0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
               0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
               0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA)
    minus = 21888242871839275222246405745257275088696311157297823662689037894645226208583 - 2
    yield 8, "bn254 pairing, product one", words(1, 2) + g2 + words(1, minus) + g2
    yield 8, "bn254 pairing, another product", words(1, 2) + g2
    yield 8, "bn254 pairing, uneven length", words(1, 2)
    for rounds in (0, 12, 1000):
        yield 9, f"blake2f, {rounds} rounds", rounds.to_bytes(4, "big") + r(64) + r(128) + r(16) + b"\1"
    yield 9, "blake2f, bad flag", bytes(212) + b"\2"
    yield 9, "blake2f, bad length", bytes(212)
    infinity = b"\xc0" + bytes(47)
    version = b"\1" + hashlib.sha256(infinity).digest()[1:]
    yield 10, "point evaluation, the zero polynomial", version + word(5) + word(0) + infinity + infinity
    yield 10, "point evaluation, wrong value", version + word(5) + word(1) + infinity + infinity
    yield 10, "point evaluation, wrong version", b"\2" + version[1:] + word(5) + word(0) + infinity + infinity
    yield 11, "BLS G1 add", BLS_G1 + BLS_G1
    yield 11, "BLS G1 add, infinity", BLS_G1 + bytes(128)
    yield 11, "BLS G1 add, off the curve", BLS_G1[:-1] + b"\0" + BLS_G1
    yield 12, "BLS G1 MSM", BLS_G1 + word(2**200 + 3) + BLS_G1 + word(7)
    yield 12, "BLS G1 MSM of nothing", b""
    yield 13, "BLS G2 add, infinity", bytes(512)
    yield 14, "BLS G2 MSM, infinity", bytes(288)
    yield 15, "BLS pairing with infinity", BLS_G1 + bytes(256)
    yield 16, "BLS map to G1", word(0)[:16] + bytes(16) + word(12345)
    yield 17, "BLS map to G2", bytes(16) + bytes(31) + b"\7" + bytes(16 + 64)
    p256 = p256_signature(digest, 123456789, 987654321)
    yield 256, "P-256", p256
    yield 256, "P-256, wrong digest", b"\0" + p256[1:]
    yield 256, "P-256, bad length", p256[1:]
    yield 18, "no precompile at 0x12", b"x"
    yield 255, "no precompile at 0xff", b"x"


def precompiles():
    rng = random.Random("lignum precompiles 1")
    b = Block("precompiles", "Every precompile of Osaka by way of a contract that notes success, length and hash.")
    a, *_ = funded(b)
    probe = b.contract(1, PROBE)
    for number, label, data in precompile_inputs(rng):
        b.send(a, probe, label, data=word(number) + data, gas=420_000)
    b.send(a, (2).to_bytes(20, "big"), "sha256 called by the transaction", data=b"direct", gas=30000)
    b.send(a, (8).to_bytes(20, "big"), "bn254 pairing fails in the transaction", data=b"\1", value=5, gas=90000)
    yield b


def calls():
    b = Block("calls", "CALL and its kin: value, new accounts, stipends, return data, code of others.")
    a, *_ = funded(b)
    noter = b.contract(1, asm("CALLVALUE", 1, "SSTORE", "CALLER", 2, "SSTORE", "ADDRESS", 3, "SSTORE", "ORIGIN", 4, "SSTORE",
                              32, 0, "MSTORE8", 42, 0, "MSTORE", 64, 0, "RETURN"))
    def caller(number, kind, to, value=None, gas=150_000):
        items = [32, 200, 0, 0] + ([value] if value is not None else []) + [push(to), gas, kind]
        return b.contract(number, asm(*items, 10, "SSTORE", 200, "MLOAD", 11, "SSTORE", "RETURNDATASIZE", 12, "SSTORE",
                                      "SELFBALANCE", 13, "SSTORE", push(to), "BALANCE", 14, "SSTORE"), balance=100)
    cases = [("CALL", noter, 0), ("CALL", noter, 7), ("CALLCODE", noter, 7), ("DELEGATECALL", noter, None),
             ("STATICCALL", noter, None), ("CALL", NOBODY[3], 7), ("CALL", NOBODY[4], 0), ("CALL", noter, 101),
             ("CALLCODE", NOBODY[5], 7), ("CALL", (2).to_bytes(20, "big"), 1)]
    for number, (kind, to, value) in enumerate(cases):
        b.send(a, caller(10 + number, kind, to, value), f"{kind} with {value}", gas=500_000, value=3)
    b.send(a, caller(30, "CALL", noter, 1, 0), "the stipend alone", gas=300_000)
    b.send(a, caller(31, "CALL", NOBODY[6], 1, 0), "the stipend alone, to a new account", gas=300_000)
    b.send(a, caller(32, "CALL", noter, 0, 2**200), "more gas than there is: all but a 64th", gas=300_000)
    look = []
    for slot, to in enumerate([noter, address_of(a), NOBODY[7], (1).to_bytes(20, "big"), bytes(20)]):
        look += [push(to), "EXTCODEHASH", slot * 3 + 1, "SSTORE", push(to), "EXTCODESIZE", slot * 3 + 2, "SSTORE"]
    look += [50, 3, 0, push(noter), "EXTCODECOPY", 0, "MLOAD", 100, "SSTORE"]
    b.send(a, b.contract(40, asm(*look)), "EXTCODE...", gas=600_000)
    sizes = asm("CODESIZE", 0, "SSTORE", "CALLDATASIZE", 1, "SSTORE", 5, "CALLDATALOAD", 2, "SSTORE", 2**255, "CALLDATALOAD", 3,
                "SSTORE", 40, 2, 0, "CALLDATACOPY", 20, 1, 7, "CODECOPY", 64, 0, "KECCAK256", 4, "SSTORE", "MSIZE", 5, "SSTORE",
                "PC", 6, "SSTORE", "GAS", 7, "SSTORE", "GASPRICE", 8, "SSTORE")
    b.send(a, b.contract(41, sizes), "sizes and copies", data=bytes(range(33)), gas=400_000)
    yield b


def floor():
    b = Block("calldata floor", "EIP-7623: calldata that costs more than the execution it brings.")
    a, *_ = funded(b)
    w = b.contract(1, WRITER, storage={n: 1 for n in range(9)})
    idle, busy = b.contract(2, b"\0"), b.contract(3, asm(500, ":x", 1, "SWAP1", "SUB", "DUP1", "@x", "JUMPI"))
    for size in (1, 100, 1000):
        b.send(a, NOBODY[0], f"{size} bytes to nobody", data=b"\1" * size, gas=21000 + 40 * size)
        b.send(a, idle, f"{size} zero bytes", data=bytes(size), gas=21000 + 10 * size)
        b.send(a, busy, f"{size} bytes and much work", data=b"\1" * size, gas=100_000)
    b.send(a, NOBODY[0], "one gas less than the floor", data=b"\1" * 100, gas=24999, rejected="T7")
    b.send(a, w, "the floor after a refund", data=words(*[x for n in range(9) for x in (n, 0)]) + b"\xff" * 700, gas=200_000)
    b.send(a, w, "the floor of a failed transaction", data=words(50, 1) * 20, gas=45000)
    b.send(a, label="creation", data=asm("STOP") + b"\xff" * 2000, gas=150_000)
    b.send(a, idle, "with an access list", data=b"\xff" * 200, access=[(idle, [1, 2, 3])], gas=60000)
    yield b


def access_lists():
    b = Block("access lists", "EIP-2930 and 2929: cold, warm, listed twice; the beneficiary is warm (EIP-3651).")
    a, *_ = funded(b)
    other = b.contract(1, WRITER, balance=9)
    look = asm(1, "SLOAD", "POP", 1, "SLOAD", "POP", push(other), "BALANCE", "POP", push(other), "EXTCODEHASH", "POP",
               "COINBASE", "BALANCE", "POP", 4, "BALANCE", "POP", "CALLER", "BALANCE", "POP", "GAS", 0, "SSTORE")
    reader = b.contract(2, look, storage={1: 5})
    lists = {"none": [], "slot": [(reader, [1])], "slots and another": [(reader, [0, 1, 2]), (other, [])],
             "twice": [(reader, [1, 1]), (reader, [1])], "of others only": [(NOBODY[0], [1, 2]), (b.beneficiary, [])]}
    for label, entries in lists.items():
        for kind in (1, 2):
            b.send(a, reader, f"{label}, type {kind}", kind=kind, access=entries)
    yield b


def environment_blocks():
    items, slot = [], 1
    for name in ["NUMBER", "TIMESTAMP", "COINBASE", "BASEFEE", "PREVRANDAO", "GASLIMIT", "CHAINID", "BLOBBASEFEE",
                 "ORIGIN", "CALLER", "GASPRICE", "ADDRESS", "SELFBALANCE"]:
        items += [name, slot, "SSTORE"]
        slot += 1
    items += [0, "BLOBHASH", 1, "ADD", slot, "SSTORE"]
    for back in (0, 1, 2, 255, 256, 257, 2**255):
        items += [back, "NUMBER", "SUB", "BLOCKHASH", 100 + back % 1000, "SSTORE"]
    items += [0, "BLOCKHASH", 90, "SSTORE", 2**256 - 1, "BLOCKHASH", 91, "SSTORE"]
    for number, time in [(1, 1), (5, 1_800_000_000), (256, 1_800_000_001), (300, 2**32 - 1)]:
        b = Block(f"environment at height {number}", "Every opcode that reads the block or the transaction.",
                  number=number, time=time, base_fee=GWEI + number, gas_limit=30_000_000 + number)
        a, c, *_ = funded(b)
        reader = b.contract(1, asm(*items), balance=3)
        b.send(a, reader, "type 2", value=4, gas=700_000)
        b.send(c, b.contract(2, asm(*items)), "type 0", kind=0, price=5 * GWEI, gas=700_000)
        yield b


def newer_opcodes():
    b = Block("newer opcodes", "TLOAD, TSTORE, MCOPY, PUSH0 and CLZ, and that transient storage is forgotten.")
    a, *_ = funded(b)
    transient = asm(7, "TLOAD", 1, "SSTORE", 99, 7, "TSTORE", 7, "TLOAD", 2, "SSTORE",
                    0, 0, 0, 0, 0, "CALLER", "ORIGIN", "XOR", "@done", "JUMPI",
                    0, 0, 0, 0, 0, "ADDRESS", "GAS", "CALL", 3, "SSTORE", 7, "TLOAD", 4, "SSTORE", ":done", "STOP")
    t = b.contract(1, transient)
    b.send(a, t, "transient storage, with a call to itself", gas=400_000)
    b.send(a, t, "transient storage is empty again", gas=400_000)
    copy = asm(*store_code(bytes(range(96))), 50, 10, 20, "MCOPY", 33, 20, 10, "MCOPY", 0, 500, 500, "MCOPY",
               5, 100, 0, "MCOPY", 128, 0, "LOG0")
    b.send(a, b.contract(2, copy), "MCOPY of overlapping parts", gas=100_000)
    zeros = []
    for slot, number in enumerate([0, 1, 2**255, 2**256 - 1, 2**128, 255, 256]):
        zeros += [number, "CLZ", slot, "SSTORE"]
    b.send(a, b.contract(3, asm(*zeros)), "CLZ", gas=400_000)
    yield b


def arithmetic():
    b = Block("arithmetic", "Every arithmetic, comparison and bitwise opcode on edge operands; results in one log.")
    a, *_ = funded(b)
    rng = random.Random("lignum arithmetic 1")
    edges = [0, 1, 2, 31, 32, 255, 256, 2**255, 2**255 - 1, 2**256 - 1, 2**256 - 2, 2**128, 2**64]
    two = ["ADD", "MUL", "SUB", "DIV", "SDIV", "MOD", "SMOD", "EXP", "SIGNEXTEND", "LT", "GT", "SLT", "SGT", "EQ",
           "AND", "OR", "XOR", "BYTE", "SHL", "SHR", "SAR"]
    for number, name in enumerate(two + ["ISZERO", "NOT", "CLZ", "ADDMOD", "MULMOD"]):
        arity = 1 if name in ("ISZERO", "NOT", "CLZ") else 3 if name.endswith("DMOD") or name == "MULMOD" else 2
        items, count = [], 24
        for at in range(count):
            operands = [rng.choice(edges) if rng.random() < 0.7 else rng.getrandbits(256) for _ in range(arity)]
            items += [*operands, name, at * 32, "MSTORE"]
        code = asm(*items, count * 32, 0, "LOG0")
        b.send(a, b.contract(number, code), name, gas=200_000)
    yield b


def rejections():
    b = Block("rejections", "Transactions that may not be in a block, between others that may.")
    a, c, d, *_ = funded(b)
    poor, coded, nobody = KEYS[10], KEYS[11], KEYS[12]
    b.account(address_of(poor), 21000 * 20 * GWEI + 5)
    b.account(address_of(coded), ETHER, 0, b"\0")
    b.account(address_of(KEYS[13]), ETHER, 2**64 - 1)
    b.send(a, NOBODY[0], "a good one", value=1, gas=21000)
    b.send(a, NOBODY[0], "nonce too low", nonce=0, rejected="T4")
    b.send(a, NOBODY[0], "nonce too high", nonce=2, rejected="T4")
    b.send(KEYS[13], NOBODY[0], "nonce 2^64 - 1", rejected="T4")
    b.send(coded, NOBODY[0], "a sender with code (EIP-3607)", rejected="T4")
    b.send(nobody, NOBODY[0], "a sender without an account", rejected="T6", gas=21000)
    b.send(poor, NOBODY[0], "one wei short", value=6, gas=21000, rejected="T6")
    b.send(poor, NOBODY[0], "the fee cap counts, not the fee", value=5, gas=21001, rejected="T6")
    b.send(a, NOBODY[0], "value of 2^256 - 1", value=2**256 - 1, gas=21000, rejected="T6")
    b.send(poor, NOBODY[0], "just enough", value=5, gas=21000)
    b.send(a, NOBODY[0], "gas 20,999", gas=20999, rejected="T7")
    b.send(a, NOBODY[0], "above EIP-7825's cap", gas=2**24 + 1, rejected="T7")
    b.send(a, NOBODY[0], "at EIP-7825's cap", gas=2**24)
    b.send(a, NOBODY[0], "tip above the fee cap", max_fee=2 * GWEI, tip=3 * GWEI, rejected="T5")
    b.send(a, NOBODY[0], "fee cap below the base fee", max_fee=GWEI - 1, tip=0, rejected="T5")
    b.send(a, NOBODY[0], "a good one at the end", gas=21000)
    yield b
    b = Block("full", "The last transaction fits exactly; gas limits count, not gas used.", gas_limit=100_000)
    a, *_ = funded(b)
    idle = b.contract(1, b"\0")
    b.send(a, idle, "above the block", gas=100_001, rejected="T7")
    b.send(a, idle, "all the block's gas asked, little used", gas=100_000)
    b.send(a, idle, "one more than is left", gas=79_001, rejected="T7")
    b.send(a, b.contract(2, asm("INVALID")), "exactly what is left, all used", gas=79_000)
    b.send(a, idle, "nothing is left", gas=21_000, rejected="T7")
    yield b
    yield Block("nothing", "No transactions and no state.")


def single_blocks():
    for scenario in (transfers, fees, creation, storage, logs, failures, create2, selfdestruct, precompiles, calls, floor,
                     access_lists, environment_blocks, newer_opcodes, arithmetic, rejections):
        yield from scenario()


def random_program(rng):
    """Code that mostly runs: operands are pushed before each opcode, some results are stored."""
    simple = ["ADD", "MUL", "SUB", "DIV", "SDIV", "MOD", "EXP", "LT", "SGT", "EQ", "AND", "XOR", "SHL", "SAR", "BYTE"]
    items = []
    for _ in range(rng.randrange(5, 40)):
        dice, small = rng.random(), rng.randrange(12)
        if dice < 0.25:
            items += [rng.getrandbits(rng.choice([3, 8, 256])), rng.getrandbits(rng.choice([3, 8, 256])),
                      rng.choice(simple), rng.randrange(4) * 32, "MSTORE"]
        elif dice < 0.45:
            items += [rng.choice([0, 0, 1, rng.getrandbits(256)]), small, "SSTORE"]
        elif dice < 0.55:
            items += [small, "SLOAD", small + 1, "SSTORE"]
        elif dice < 0.65:
            items += [small, small + 1, 64, small, f"LOG{rng.randrange(3)}", ]
        elif dice < 0.85:
            target = rng.choice([push(bytes([0xC0]) + bytes(18) + bytes([rng.randrange(1, 25)])), rng.randrange(1, 10),
                                 push(rng.choice(NOBODY)), push(address_of(rng.choice(KEYS[:6])))])
            kind = rng.choice(["CALL", "CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"])
            value = [rng.choice([0, 0, 1, 50])] if kind in ("CALL", "CALLCODE") else []
            items += [64, 32, 64, 0, *value, target, rng.choice([3000, 40_000, 2**60]), kind, small, "SSTORE"]
        elif dice < 0.9:
            init = deployer(asm(small, 1, "SSTORE", "ADDRESS", "SELFDESTRUCT"))
            how = ["CREATE"] if rng.random() < 0.6 else ["CREATE2"]
            salt = [small] if how == ["CREATE2"] else []
            call = [0, 0, 0, 0, 0, "DUP6", "GAS", "CALL", "POP"] if rng.random() < 0.5 else []
            items += [*store_code(init), *salt, len(init), 0, small % 3, *how, "DUP1", 0, "SSTORE", *call, "POP"]
        elif dice < 0.97:
            items += [rng.choice(["TIMESTAMP", "PREVRANDAO", "GASPRICE", "SELFBALANCE", "CALLER", "GAS", "RETURNDATASIZE"]), small, "SSTORE"]
        elif dice < 0.985:
            items += [push(rng.choice(NOBODY)), "SELFDESTRUCT"]
        else:
            items += rng.choice([[32, 0, "REVERT"], ["INVALID"], ["POP"], [64, 0, "RETURN"], [9999, "JUMP"]])
    return asm(*items)


def chain_start():
    """The state before the random chain: six senders and 24 contracts of random code."""
    rng = random.Random("lignum random contracts 1")
    b = Block("start", "")
    funded(b)
    for number in range(1, 25):
        b.contract(number, random_program(rng), rng.randrange(1000), {n: rng.getrandbits(64) for n in range(rng.randrange(6))})
    return b.pre


def chain_block(index, accounts):
    """A block of random transactions on the state that the block before it left."""
    rng = random.Random(f"lignum random block {index}")
    beneficiary = rng.choice([b"\xbe" * 20, address_of(KEYS[0]), bytes([0xC0]) + bytes(18) + b"\3"])
    b = Block(f"random {index}", "Random calls and creations on the state after the random block before.", accounts,
              number=index + 1, beneficiary=beneficiary, base_fee=rng.randrange(GWEI, 10 * GWEI))
    for _ in range(14):
        key, kind = rng.choice(KEYS[:6]), rng.randrange(3)
        gas = rng.choice([60_000, 200_000, 1_000_000])
        label, to, data = "call", bytes([0xC0]) + bytes(18) + bytes([rng.randrange(1, 25)]), rng.randbytes(rng.randrange(70))
        if rng.random() < 0.15:
            label, to, data = "creation", None, rng.choice([random_program(rng), deployer(random_program(rng))])
            gas = 1_000_000
        fee = {"max_fee": rng.randrange(10, 40) * GWEI, "tip": rng.randrange(0, 10) * GWEI} if kind == 2 else \
            {"price": rng.randrange(10, 40) * GWEI}
        b.send(key, to, label, kind=kind, value=rng.choice([0, 0, 1, 1000]), gas=gas, data=data, **fee)
    return b
