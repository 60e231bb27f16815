//! SHA-256 on plain words (FIPS 180-4), for what a search computes once and not for each nonce.
//!
//! Called by `work` and by the kernels' constants; the hash that decides is the sha2 crate's.

/// SHA-256 before its first block.
pub const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The rounds' constants.
#[rustfmt::skip]
pub const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The σ0 of the message schedule.
pub const fn small0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

/// The σ1 of the message schedule.
pub const fn small1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

/// One round; `constant_and_word` is the round's constant plus its word of the schedule.
///
/// Only two words of the result are not copies, and both are linear in that sum: whoever does not
/// know the word yet gives the constant alone, and adds the word to elements 0 and 4 later.
pub const fn round(state: [u32; 8], constant_and_word: u32) -> [u32; 8] {
    let [a, b, c, d, e, f, g, h] = state;
    let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let chosen = (e & f) ^ (!e & g);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    let first = h
        .wrapping_add(sum1)
        .wrapping_add(chosen)
        .wrapping_add(constant_and_word);
    let second = sum0.wrapping_add(majority);
    [
        first.wrapping_add(second),
        a,
        b,
        c,
        d.wrapping_add(first),
        e,
        f,
        g,
    ]
}

#[cfg(test)]
mod tests {
    use sha2::block_api::compress256;

    use super::*;

    #[test]
    fn rounds_and_schedule_make_the_hash_of_the_sha2_crate() {
        let words: [u32; 16] =
            std::array::from_fn(|at| 0x9e37_79b9_u32.wrapping_mul(at as u32 + 1));
        let mut schedule = words.to_vec();
        for at in 16..64 {
            let sum = small1(schedule[at - 2])
                .wrapping_add(schedule[at - 7])
                .wrapping_add(small0(schedule[at - 15]))
                .wrapping_add(schedule[at - 16]);
            schedule.push(sum);
        }
        let rounds = schedule.iter().zip(K);
        let end = rounds.fold(INITIAL, |state, (word, constant)| {
            // The word is added afterwards: the round is linear in it.
            let mut state = round(state, constant);
            state[0] = state[0].wrapping_add(*word);
            state[4] = state[4].wrapping_add(*word);
            state
        });
        let hash: [u32; 8] = std::array::from_fn(|at| INITIAL[at].wrapping_add(end[at]));

        let mut expected = INITIAL;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        compress256(&mut expected, &[bytes.try_into().unwrap()]);
        assert_eq!(hash, expected);
    }
}
