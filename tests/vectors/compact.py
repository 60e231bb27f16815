"""Compact targets and work: a specification in plain integers, and its vectors.

Source: protocol.md section 3 ("Compact", "Work"), written from the text alone; Bitcoin's nBits with
one difference, that a set sign bit, a zero and more than 256 bits are all simply refused.
Writes compact.csv. Needs nothing but Python 3. Regenerate: python3 compact.py
"""

import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))
TWO_256 = 1 << 256


def decode(bits):
    """Target of 32-bit compact bits, or None where rule H1 refuses them."""
    size, mantissa = bits >> 24, bits & 0xFFFFFF
    if mantissa & 0x800000:
        return None
    shift = 8 * (size - 3)
    target = mantissa << shift if shift >= 0 else mantissa >> -shift
    return target if 0 < target < TWO_256 else None


def encode(target):
    """Compact bits of a target of 1 to 2^256 - 1."""
    assert 0 < target < TWO_256
    raw = target.to_bytes((target.bit_length() + 7) // 8, "big")
    size, mantissa = len(raw), int.from_bytes((raw + b"\0\0")[:3], "big")
    if mantissa & 0x800000:
        size, mantissa = size + 1, mantissa >> 8
    return size << 24 | mantissa


def work(target):
    """Expected number of hashes for a target."""
    return TWO_256 // (target + 1)


def bits_cases(rng):
    """Compact bits to decode: edges of every size, Bitcoin's own cases, and random ones."""
    cases = [
        # Genesis values of known chains, and one difficulty of real life.
        0x1D00FFFF, 0x207FFFFF, 0x1E0377AE, 0x1B0404CB, 0x1A44B9F2, 0x170331DB, 0x2100FFFF,
        # Bitcoin's classic compact cases: truncation to zero, sign bits, overflow.
        0x00000000, 0x00123456, 0x01003456, 0x02000056, 0x03000000, 0x04000000, 0x00923456,
        0x01803456, 0x02800056, 0x03800000, 0x04800000, 0x01123456, 0x01FEDCBA, 0x02123456,
        0x03123456, 0x04123456, 0x04923456, 0x05009234, 0x20123456, 0xFF123456,
        0x01010000, 0x017F0000, 0x02008000, 0x02010000, 0x02000100, 0x020000FF, 0x0100FFFF,
        0x03000001, 0x03008000, 0x03800001, 0xFF000000, 0xFF7FFFFF, 0xFFFFFFFF, 0x00FFFFFF,
    ]
    mantissas = [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFF, 0x800000, 0xFFFFFF]
    for size in [0, 1, 2, 3, 4, 5, 31, 32, 33, 34, 35, 36]:
        cases += [size << 24 | m for m in mantissas]
    cases += [rng.randrange(3, 33) << 24 | rng.randrange(1, 0x800000) for _ in range(120)]
    cases += [rng.getrandbits(32) for _ in range(40)]
    return list(dict.fromkeys(cases))


def target_cases(rng):
    """Targets to encode: around powers of two and the sign bit, and random ones of all lengths."""
    cases = [1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFF, 0x800000]
    cases += [0xFFFFFF, 0x1000000, TWO_256 - 1, TWO_256 - 2, TWO_256 // 2, TWO_256 // 2 - 1]
    for power in list(range(8, 256, 16)) + list(range(15, 256, 24)):
        cases += [(1 << power) - 1, 1 << power, (1 << power) + 1]
    cases += [rng.getrandbits(rng.randrange(1, 257)) | 1 for _ in range(150)]
    return list(dict.fromkeys(cases))


def main():
    rng = random.Random("lignum compact 1")
    lines = ["kind,bits,target,canonical_bits,work"]
    for bits in bits_cases(rng):
        target = decode(bits)
        if target is None:
            lines.append(f"decode,{bits:08x},invalid,,")
        else:
            lines.append(f"decode,{bits:08x},{target:064x},{encode(target):08x},{work(target):x}")
    for target in target_cases(rng):
        bits = encode(target)
        assert encode(decode(bits)) == bits and decode(bits) <= target
        lines.append(f"encode,{bits:08x},{target:064x},{bits:08x},{work(target):x}")
    with open(os.path.join(HERE, "compact.csv"), "w") as out:
        out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
