"""Bitcoin headers and their hashes: proof that the 80 bytes and sha256d are Bitcoin's.

Source: the public Bitcoin main chain, blocks 0, 1, 2 and 125552 (the last is the worked example of
Bitcoin's documentation of block hashing). The script checks each hash, the links and the targets.
Writes headers.json. Needs nothing but Python 3. Regenerate: python3 headers.py
"""

import hashlib
import json
import os

import compact

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCKS = [
    (0, "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e"
        "67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
     "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
    (1, "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e"
        "1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
     "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"),
    (2, "010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5added"
        "f24858b8bb665c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61",
     "000000006a625f06636b8bb6ac7b960a8d03705d1ace08b1a19da3fdcc99ddbd"),
    (125552, "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2fffc8d750423"
             "db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695",
     "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d"),
]


def sha256d(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def little(data):
    return int.from_bytes(data, "little")


def parse(number, text, display):
    """The fields of a header, after checking its hash and its proof of work."""
    raw = bytes.fromhex(text)
    wire = sha256d(raw)
    assert len(raw) == 80 and wire[::-1].hex() == display
    bits = little(raw[72:76])
    target = compact.decode(bits)
    assert little(wire) <= target
    return {
        "height": number,
        "header": raw.hex(),
        "hash_display": display,
        "hash_wire": wire.hex(),
        "version": little(raw[:4]),
        "parent_display": raw[4:36][::-1].hex(),
        "commitment_wire": raw[36:68].hex(),
        "time": little(raw[68:72]),
        "bits": f"{bits:08x}",
        "nonce": little(raw[76:]),
        "target": f"{target:064x}",
        "work": f"{compact.work(target):x}",
    }


def main():
    headers = [parse(*block) for block in BLOCKS]
    assert headers[1]["parent_display"] == headers[0]["hash_display"]
    assert headers[2]["parent_display"] == headers[1]["hash_display"]
    with open(os.path.join(HERE, "headers.json"), "w") as out:
        json.dump(headers, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
