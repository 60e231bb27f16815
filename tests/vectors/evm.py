"""Execution of blocks by the executable Ethereum specification (Python), fork Osaka, chain id 1337.

Source: the PyPI package ethereum-execution, called as a library: its `process_transaction`, once a
transaction, on the scenarios of evm_cases.py. What Lignum does not have is never called: no system
contracts (EIP-4788, EIP-2935), no withdrawals, no requests, no block reward (rule S2 comes after
this), no blobs (excess blob gas 0, so that BLOBBASEFEE is 1). The roots are not Ethereum's: they are
Lignum's, by state_root.py and rfc6962.py.
Writes evm.json. Regenerate: pip install -r requirements.txt; python3 evm.py
"""

import hashlib
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from ethereum.crypto.hash import keccak256
from ethereum.exceptions import EthereumException
from ethereum.forks.osaka import fork, state as spec_state, transactions as spec, vm
from ethereum.forks.osaka.blocks import decode_receipt
from ethereum.forks.osaka.fork_types import Account, Address
from ethereum.forks.osaka.trie import trie_get
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes32
from ethereum_types.numeric import U64, U256, Uint

import evm_cases
import rfc6962
import state_root
from evm_block import CHAIN_ID, block_hash

HERE = os.path.dirname(os.path.abspath(__file__))


def spec_accounts(pre):
    state = spec_state.State()
    for address, account in pre.items():
        body = Account(nonce=Uint(account["nonce"]), balance=U256(account["balance"]), code=account["code"])
        spec_state.set_account(state, Address(address), body)
        for slot, word in account["storage"].items():
            if word:
                spec_state.set_storage(state, Address(address), Bytes32(slot.to_bytes(32, "big")), U256(word))
    return state


def read_accounts(state):
    """The specification's state as plain Python."""
    out = {}
    for address, account in sorted(state._main_trie._data.items()):
        slots = state._storage_tries[address]._data if address in state._storage_tries else {}
        storage = {int.from_bytes(slot, "big"): int(word) for slot, word in sorted(slots.items())}
        out[bytes(address)] = {"nonce": int(account.nonce), "balance": int(account.balance),
                               "code": bytes(account.code), "storage": storage}
        assert account != spec_state.EMPTY_ACCOUNT
    assert set(state._storage_tries) <= set(state._main_trie._data), "storage needs an account"
    return out


def accounts_json(accounts):
    return {
        address.hex(): {
            "nonce": str(account["nonce"]),
            "balance": str(account["balance"]),
            "code": account["code"].hex(),
            "storage": {f"{slot:064x}": f"{word:064x}" for slot, word in account["storage"].items() if word},
        }
        for address, account in sorted(accounts.items())
    }


def lignum_root(accounts):
    entries = {}
    for address, account in accounts_json(accounts).items():
        code_hash = keccak256(bytes.fromhex(account["code"])).hex()
        entries |= state_root.account_entries(account | {"address": address, "code_hash": code_hash})
    return state_root.root(entries).hex()


class Deletions:
    """Watches the accounts that the specification deletes at the end of a transaction."""

    def __init__(self):
        self.addresses, self.wei = [], 0

    def __call__(self, state, address):
        self.addresses.append(address.hex())
        self.wei += int(spec_state.get_account(state, address).balance)
        spec_state.destroy_account(state, address)


def environment(block, state):
    known = range(max(0, block.number - 256), block.number)
    parent = block_hash(block.number - 1)
    return vm.BlockEnvironment(
        chain_id=U64(CHAIN_ID),
        state=state,
        block_gas_limit=Uint(block.gas_limit),
        block_hashes=[Bytes32(block_hash(n)) for n in known],
        coinbase=Address(block.beneficiary),
        number=Uint(block.number),
        base_fee_per_gas=Uint(block.base_fee),
        time=U256(block.time),
        prev_randao=Bytes32(hashlib.sha256(parent[::-1]).digest()),
        excess_blob_gas=U64(0),
        parent_beacon_block_root=Bytes32(bytes(32)),
    )


def env_json(block, env):
    return {
        "number": block.number,
        "time": block.time,
        "beneficiary": block.beneficiary.hex(),
        "gas_limit": block.gas_limit,
        "base_fee": block.base_fee,
        "prevrandao": env.prev_randao.hex(),
        "parent_hash": env.block_hashes[-1].hex(),
        "block_hashes": {str(block.number - len(env.block_hashes) + i): h.hex()
                         for i, h in enumerate(env.block_hashes)},
    }


def decode(raw):
    return spec.decode_transaction(raw) if raw[0] < 0xC0 else rlp.decode_to(spec.LegacyTransaction, raw)


def receipt_json(env_output, index, before):
    stored = trie_get(env_output.receipts_trie, rlp.encode(Uint(index)))
    raw = stored if isinstance(stored, bytes) else rlp.encode(stored)
    receipt = decode_receipt(stored)
    cumulative = int(receipt.cumulative_gas_used)
    return {
        "status": int(receipt.succeeded),
        "gas_used": cumulative - before,
        "cumulative_gas": cumulative,
        "logs": [{"address": log.address.hex(), "topics": [t.hex() for t in log.topics], "data": log.data.hex()}
                 for log in receipt.logs],
        "raw": raw.hex(),
    }


def run(block):
    """Executes a block; the JSON of its vector, and the accounts after it."""
    state = spec_accounts(block.pre)
    env, output, deletions = environment(block, state), vm.BlockOutput(), Deletions()
    fork.destroy_account = deletions
    listed, included, receipts = [], [], []
    for label, raw, expected in block.transactions:
        tx, before = decode(raw), int(output.block_gas_used)
        entry = {"label": label, "type": 0 if raw[0] >= 0xC0 else raw[0], "raw": raw.hex(),
                 "hash": keccak256(raw).hex(), "sender": spec.recover_sender(U64(CHAIN_ID), tx).hex()}
        accounts = read_accounts(state)
        try:
            fork.process_transaction(env, output, tx, Uint(len(included)))
        except EthereumException as error:
            assert expected, f"{block.name}: {label}: {error!r}"
            assert read_accounts(state) == accounts, "a rejected transaction changes nothing"
            entry["rejected"] = {"rule": expected, "error": type(error).__name__}
        else:
            assert not expected, f"{block.name}: {label}: not rejected"
            entry["receipt"] = receipt_json(output, len(included), before)
            receipts.append(bytes.fromhex(entry["receipt"]["raw"]))
            included.append(raw)
        listed.append(entry)
    post, used = read_accounts(state), int(output.block_gas_used)
    lost = sum(a["balance"] for a in block.pre.values()) - sum(a["balance"] for a in post.values())
    # What SELFDESTRUCT destroys is set to zero when the opcode runs; what came later, on deletion.
    destroyed = lost - block.base_fee * used
    assert destroyed >= deletions.wei, f"{block.name}: the supply invariant of section 5"
    assert destroyed == 0 or deletions.addresses, f"{block.name}: only a deletion destroys ether"
    return {
        "name": block.name,
        "about": block.about,
        "env": env_json(block, env),
        "pre": accounts_json(block.pre),
        "pre_state_root": lignum_root(block.pre),
        "transactions": listed,
        "gas_used": used,
        "transaction_count": len(included),
        "body_bytes": 8 + sum(8 + len(raw) for raw in included),
        "transactions_root": rfc6962.root(included).hex(),
        "receipts_root": rfc6962.root(receipts).hex(),
        "post": accounts_json(post),
        "post_state_root": lignum_root(post),
        "deleted": sorted(set(deletions.addresses)),
        "destroyed_wei": str(destroyed),
    }, post


def write():
    document = {"chain_id": CHAIN_ID, "blocks": []}
    for block in evm_cases.single_blocks():
        document["blocks"].append(run(block)[0])
    accounts = evm_cases.chain_start()
    for index in range(evm_cases.CHAIN_LENGTH):
        vector, accounts = run(evm_cases.chain_block(index, accounts))
        document["blocks"].append(vector)
    with open(os.path.join(HERE, "evm.json"), "w") as out:
        json.dump(document, out, indent=1)
        out.write("\n")


def main():
    # Calls nest deeply in the specification, one Python call chain inside another.
    sys.setrecursionlimit(100_000)
    threading.stack_size(512 * 1024 * 1024)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(write).result()


if __name__ == "__main__":
    main()
