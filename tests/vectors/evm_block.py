"""A block in the making, for the scenarios of evm_cases.py: signs its transactions with eth-account.

Source: written for Lignum; it writes nothing by itself.
"""

import hashlib

from eth_account import Account as Signer
from eth_utils import to_checksum_address
from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_types.numeric import Uint

CHAIN_ID = 1337
GWEI, ETHER = 10**9, 10**18


def address_of(key):
    return bytes.fromhex(Signer.from_key(key).address[2:])


def created_at(sender, nonce):
    """Address of the contract that an account creates with this nonce."""
    return keccak256(rlp.encode((sender, Uint(nonce))))[12:]


def block_hash(number):
    """An invented hash for a block number, in display order, with the zeros of proof of work."""
    return bytes(4) + hashlib.sha256(b"lignum block %d" % number).digest()[4:]


class Block:
    """One block in the making: its environment, the state before it, its transactions."""

    def __init__(self, name, about, pre=None, **env):
        self.name, self.about = name, about
        self.pre = {address: dict(account) for address, account in (pre or {}).items()}
        self.number = env.get("number", 5)
        self.time = env.get("time", 1_800_000_000 + self.number)
        self.beneficiary = env.get("beneficiary", b"\xbe" * 20)
        self.gas_limit = env.get("gas_limit", 30_000_000)
        self.base_fee = env.get("base_fee", GWEI)
        self.nonces, self.transactions = {}, []

    def account(self, address, balance=0, nonce=0, code=b"", storage=None):
        """An account of the state before the block; gives back its address."""
        self.pre[address] = {"nonce": nonce, "balance": balance, "code": code, "storage": storage or {}}
        return address

    def contract(self, number, code, balance=0, storage=None):
        """A contract at an address made of its number, with nonce 1 as a created one has."""
        return self.account(bytes([0xC0]) + bytes(17) + number.to_bytes(2, "big"), balance, 1, code, storage)

    def send(self, key, to=None, label="", rejected=None, kind=2, nonce=None, **fields):
        """A transaction; the nonce counts up by itself, except for those expected to be rejected."""
        sender = address_of(key)
        expected = self.nonces.get(sender, self.pre.get(sender, {"nonce": 0})["nonce"])
        if not rejected:
            self.nonces[sender] = expected + 1
        tx = {"chainId": CHAIN_ID, "nonce": expected if nonce is None else nonce, "value": fields.pop("value", 0),
              "gas": fields.pop("gas", 200_000), "data": "0x" + fields.pop("data", b"").hex(),
              "to": to_checksum_address(to) if to is not None else ""}
        if kind == 2:
            tx |= {"type": 2, "maxFeePerGas": fields.pop("max_fee", 20 * GWEI),
                   "maxPriorityFeePerGas": fields.pop("tip", 2 * GWEI)}
        else:
            tx |= {"gasPrice": fields.pop("price", 3 * GWEI)} | ({"type": 1} if kind == 1 else {})
        entries = fields.pop("access", [])
        if kind:
            tx["accessList"] = [{"address": to_checksum_address(a), "storageKeys": [f"0x{s:064x}" for s in slots]}
                                for a, slots in entries]
        assert not fields, fields
        raw = bytes(Signer.sign_transaction(tx, key).raw_transaction)
        self.transactions.append((label, raw, rejected))
        return created_at(sender, tx["nonce"]) if to is None else None
