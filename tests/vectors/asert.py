"""ASERT with forgiven gaps: a specification in big integers, and its vectors.

Source: protocol.md section 3 ("ASERT"), written from the text alone; with no gap above two
half-lives it is aserti3-2d, anchored at the genesis block.
Writes asert.csv. Needs nothing but Python 3. Regenerate: python3 asert.py
"""

import os
import random

import compact

HERE = os.path.dirname(os.path.abspath(__file__))
U32, U64 = (1 << 32) - 1, (1 << 64) - 1
LIMIT = 0x207FFFFF
HEADER = "run,genesis_bits,pow_limit_bits,spacing,half_life,genesis_time,parent_time,parent_height,forgiven,next_bits"


def exponent_of(spacing, half_life, genesis_time, time, height, forgiven):
    """65536 times the number of half-lives the chain is late (early: negative), towards zero."""
    time_delta = time - (genesis_time - spacing) - forgiven
    numerator = (time_delta - spacing * (height + 1)) * 65536
    assert abs(numerator) < 1 << 127, "fits the i128 of the rule"
    magnitude = abs(numerator) // half_life
    return magnitude if numerator >= 0 else -magnitude


def next_bits(genesis_bits, limit_bits, spacing, half_life, genesis_time, time, height, forgiven):
    """Bits of the block after a parent of this time, height and forgiven sum."""
    exponent = exponent_of(spacing, half_life, genesis_time, time, height, forgiven)
    shift, frac = divmod(exponent, 65536)
    cubic = 195766423245049 * frac + 971821376 * frac**2 + 5127 * frac**3 + 2**47
    assert cubic < 1 << 64, "fits the u64 of the rule"
    factor = 65536 + (cubic >> 48)
    genesis, limit = compact.decode(genesis_bits), compact.decode(limit_bits)
    if shift >= 256:
        target = limit
    elif shift < -288:
        target = 1
    elif shift >= 16:
        target = genesis * factor << (shift - 16)
    else:
        target = genesis * factor >> (16 - shift)
    return compact.encode(max(1, min(target, limit)))


def forgiven_after(forgiven, half_life, parent_time, time):
    """The forgiven sum of a block, from its parent's."""
    return forgiven + max(0, time - parent_time - 2 * half_life)


def row(run, genesis_bits, limit_bits, *rest):
    bits = next_bits(genesis_bits, limit_bits, *rest)
    numbers = ",".join(str(n) for n in rest)
    return f"{run},{genesis_bits:08x},{limit_bits:08x},{numbers},{bits:08x}"


TARGETS = [  # (genesis bits, limit bits), each canonical and the first not above the second
    (0x207FFFFF, LIMIT), (0x1D00FFFF, LIMIT), (0x1D00FFFF, 0x1D00FFFF), (0x1B0404CB, 0x1D00FFFF),
    (0x170331DB, LIMIT), (0x2100FFFF, 0x2100FFFF), (0x1F00FFFF, 0x2100FFFF), (0x1E7FFFFF, LIMIT),
    (0x207FFFFF, 0x2100FFFF), (0x03010000, LIMIT), (0x0200FFFF, LIMIT), (0x01010000, LIMIT),
    (0x01010000, 0x01010000), (0x037FFFFF, 0x04008000), (0x20010001, LIMIT), (0x1C654321, LIMIT),
]
PARAMETERS = [  # (spacing, half-life): the built-in networks, Bitcoin-like ones, extremes
    (2, 120), (10, 600), (1, 10**9), (600, 172800), (600, 3600), (1, 1), (1, 2), (7, 3), (U32, U32),
    (U32, 1), (1, U32), (1, 65536), (3, 65535), (13, 65537), (1, 131072), (15, 1000003), (60, 4242),
]


def edges():
    """Deterministic corners, for each pair of targets and a few parameters."""
    for genesis_bits, limit_bits in TARGETS:
        for spacing, half_life in PARAMETERS[:7]:
            start, height = 1_700_000_000, 1000
            on_time = start + spacing * height
            lates = [0, 1, -1, half_life, -half_life, half_life - 1, 1 - half_life, half_life + 1,
                     -half_life - 1, 2 * half_life, -2 * half_life]
            for shift in [8, 15, 16, 17, 239, 240, 255, 256, 257, -16, -17, -255, -256, -288, -289, -290]:
                lates += [shift * half_life, shift * half_life - 1, shift * half_life + 1]
            for late in lates:
                # A late chain has a late stamp; an early one is a sum forgiven, so that time >= 0.
                time, forgiven = (on_time + late, 0) if late >= 0 else (on_time, -late)
                if time <= U32:
                    yield genesis_bits, limit_bits, spacing, half_life, start, time, height, forgiven
    for genesis_bits, limit_bits in TARGETS[:4] + [(0x01010000, LIMIT)]:
        for spacing, half_life in PARAMETERS:
            for start, time, height, forgiven in [
                (1, 1, 0, 0), (U32, U32, 0, 0), (1, U32, 0, 0), (1, U32, 1, U32 - 1),
                (1, U32, U64 - 1, 0), (U32, U32, U64 - 1, U64), (1, 1, U64 - 1, 0),
                (1, 1, U64, U64), (1, U32, U64, 0), (1, U32, U32, 0), (1, U32, 1 << 40, 12345),
                (spacing, spacing, 0, 0), (1_700_000_000, U32, 1, 0), (1_700_000_000, 1_700_000_000, 5, U64),
            ]:
                yield genesis_bits, limit_bits, spacing, half_life, start, time, height, forgiven


def scattered(rng, count):
    """Random corners of interest: a wanted exponent, reached by the stamp or by the forgiven sum."""
    while count:
        genesis_bits, limit_bits = rng.choice(TARGETS)
        if rng.random() < 0.3:
            limit_bits = LIMIT
            genesis_bits = compact.encode(rng.getrandbits(rng.randrange(1, 256)) + 1)
            if compact.decode(genesis_bits) > compact.decode(limit_bits):
                continue
        spacing, half_life = rng.choice(PARAMETERS)
        if rng.random() < 0.4:
            spacing, half_life = rng.randrange(1, 3601), rng.randrange(1, 1 << rng.randrange(1, 33))
        start = rng.choice([1, 1_231_006_505, 1_700_000_000, rng.randrange(1, U32 + 1)])
        height = rng.choice([rng.randrange(100), rng.randrange(10**6), rng.getrandbits(rng.randrange(1, 65))])
        wanted = rng.choice([rng.uniform(-1, 1), rng.uniform(-20, 20), rng.uniform(-300, 300)])
        late = int(wanted * half_life)
        if rng.random() < 0.2:
            late = int(wanted) * half_life
        time = start + spacing * height + late
        forgiven = 0
        if rng.random() < 0.5 or not start <= time <= U32:
            stamp = rng.randrange(start, U32 + 1)
            forgiven = stamp - time
            time = stamp
        if not 0 <= forgiven <= U64:
            # No stamp brings so late a chain to so high a block: keep a few such rows as they are.
            if rng.random() < 0.7:
                continue
            forgiven = rng.randrange(1000)
        count -= 1
        yield genesis_bits, limit_bits, spacing, half_life, start, time, height, forgiven


def gap(rng, mood, spacing, half_life):
    """A random pause before the next block, in the mood of its run."""
    if mood == "steady":
        return int(rng.expovariate(1 / spacing))
    if mood == "burst":
        return rng.choice([0, 0, 0, 0, 0, 1, 2 * spacing])
    if mood == "edge":
        return rng.choice([0, 2 * half_life - 1, 2 * half_life, 2 * half_life + 1, half_life, spacing])
    if mood == "slow":
        return int(rng.expovariate(1 / (2 * half_life)))
    if rng.random() < 0.1:
        return rng.randrange(2 * half_life, 400 * half_life)
    return int(rng.expovariate(1 / spacing))


def runs(rng):
    """Chains of 70 stamps: (run, row arguments), one row a block, the forgiven sum as it grows."""
    run = 0
    networks = [(2, 120, 0x1F00FFFF), (10, 600, 0x1D00FFFF), (1, 10**9, LIMIT), (600, 3600, 0x1B0404CB),
                (1, 1, 0x1E7FFFFF), (2, 120, LIMIT), (5, U32, 0x1C654321), (30, 3, 0x20010001)]
    for spacing, half_life, genesis_bits in networks:
        for mood in ["steady", "burst", "edge", "slow", "stops"]:
            run += 1
            start = rng.randrange(1, 1 << 31)
            time, forgiven = start, 0
            for height in range(70):
                yield run, genesis_bits, LIMIT, spacing, half_life, start, time, height, forgiven
                stamp = min(U32, time + gap(rng, mood, spacing, half_life))
                forgiven = forgiven_after(forgiven, half_life, time, stamp)
                time = stamp


def main():
    rng = random.Random("lignum asert 1")
    lines = [HEADER]
    lines += [row(0, *case) for case in dict.fromkeys(edges())]
    lines += [row(0, *case) for case in scattered(rng, 3000)]
    lines += [row(*case) for case in runs(rng)]
    assert len(lines) > 10_000
    with open(os.path.join(HERE, "asert.csv"), "w") as out:
        out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
