"""RFC 6962 Merkle tree heads, by the recursive definition of section 2.1 of the RFC.

Source: the RFC's definition; the first nine trees are the reference leaves and roots of the
Certificate Transparency test-suite, and the script checks that it reproduces those roots.
Writes rfc6962.json. Needs nothing but Python 3. Regenerate: python3 rfc6962.py
"""

import hashlib
import json
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                    "606162636465666768696a6b6c6d6e6f"]
REFERENCE_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root(leaves):
    """MTH(D[n]) of RFC 6962."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()


def tree(name, leaves):
    return {"name": name, "leaves": [leaf.hex() for leaf in leaves], "root": root(leaves).hex()}


def main():
    reference = [bytes.fromhex(leaf) for leaf in REFERENCE_LEAVES]
    trees = [tree(f"reference {n}", reference[:n]) for n in range(9)]
    assert [t["root"] for t in trees] == REFERENCE_ROOTS
    rng = random.Random("lignum rfc6962 1")
    for size in [*range(34), 63, 64, 65, 100, 127, 128, 129]:
        # Short leaves of uneven length; some are as long as two hashes, like an inner node.
        leaves = [rng.randbytes(rng.choice([0, 1, 7, 31, 32, 33, 64, 65])) for _ in range(size)]
        trees.append(tree(f"random {size}", leaves))
    equal = [b"same"] * 7
    trees += [tree("seven equal leaves", equal), tree("six equal leaves", equal[:6])]
    with open(os.path.join(HERE, "rfc6962.json"), "w") as out:
        json.dump(trees, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
