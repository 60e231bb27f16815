//! The search with one nonce in each lane of a vector, written once for all widths of vectors.
//!
//! [`lanes_kernel!`] is SHA-256d of the last 16 bytes of a header, unrolled, and without whatever
//! need not be computed. A module that invokes it has a vector type `V` of `LANES` words and functions
//! on it: `splat`, `add`, the functions of FIPS 180-4 (`big0`, `big1`, `small0`, `small1`, `ch`, `maj`),
//! `nonces`, `without` and `pin`. What is left out, against two compressions of 64 rounds:
//!
//! - The first hash's rounds 0 to 3 and what is known of rounds 4 to 6 and of the schedule's words 16
//!   to 33 are computed once for all nonces (`work`).
//! - The schedule of the first hash is computed once for all versions.
//! - The second hash's words 8 to 15 are constants, most of them zero, and so is the state before it;
//!   the compiler folds them, which is why they may look like any other word here.
//! - The second hash's last word is `e` after round 60. So rounds 57 to 60 make no `a`, rounds 61 to 63
//!   do not exist, and neither do their words. What is added to that word at the end is added to round
//!   60's constant.
//! - Where the last word has a bit that the target forbids, which is nearly always, nothing more
//!   is done. Elsewhere `Work::check` decides.
//!
//! The compiler is free to move instructions about, and over hundreds of rounds it finds orders in
//! which the processor has nothing to do. `pin` keeps each round's new `e`, and with it the rounds
//! of all streams, in the order in which they are written. Where there are registers for it, the first
//! hash of `STREAMS` vectors of nonces is computed in turns, since a round without its schedule is too
//! short to hide its own chain of sums; with its schedule, in the second hash, it is long enough.

/// Writes a block once for each of the numbers: a loop that the compiler might not unroll would
/// keep what it indexes in memory.
macro_rules! unrolled {
    ($t:ident in $($at:literal)+ => $body:block) => {
        $({
            let $t: usize = $at;
            $body
        })+
    };
}

/// Defines `group(work, nonce) -> u32` for vectors of the invoking module: a bit for each lane in
/// which some version of `work` may meet the target with the nonce `nonce + lane`. `nonce` is a
/// multiple of the number of lanes of all streams.
macro_rules! lanes_kernel {
    ($feature:literal) => {
        #[target_feature(enable = $feature)]
        fn group(work: &Work, nonce: u32) -> u32 {
            let mut words = [splat(0); STREAMS];
            for (stream, word) in words.iter_mut().enumerate() {
                *word = nonces(nonce + stream as u32 * LANES);
            }
            let sums = schedules(work, words);
            let mut found = 0;
            for midstate in &work.midstates {
                let hashes = first_hashes(midstate, words, &sums);
                for (stream, hash) in hashes.into_iter().enumerate() {
                    let lanes = without(last_word(hash), work.zero_bits);
                    found |= lanes << (stream as u32 * LANES);
                }
            }
            found
        }

        /// Constant plus word for each round of the first hash from round 7 on.
        #[inline]
        #[target_feature(enable = $feature)]
        fn schedules(work: &Work, nonces: [V; STREAMS]) -> [[V; 64]; STREAMS] {
            let mut w = [[splat(0); 64]; STREAMS];
            for (w, nonce) in w.iter_mut().zip(nonces) {
                begin(w, work, nonce);
            }
            unrolled!(t in 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58
                59 60 61 62 63 => {
                for w in &mut w {
                    w[t] = word(w[t - 16], w[t - 15], w[t - 7], w[t - 2]);
                    w[t - 16] = add(w[t - 16], splat(K[t - 16]));
                }
            });
            unrolled!(t in 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 => {
                for w in &mut w {
                    w[t] = add(w[t], splat(K[t]));
                }
            });
            w
        }

        /// The words 7 to 33 of the first hash's schedule, numbered as in the standard. Terms that are
        /// zero or known have no place of their own, and the words before 18 their constants added.
        #[inline]
        #[target_feature(enable = $feature)]
        fn begin(w: &mut [V; 64], work: &Work, nonce: V) {
            let known = |at: usize| splat(work.known[at]);
            for t in 7..18 {
                w[t] = splat(K[t].wrapping_add(work.known[t]));
            }
            w[18] = add(small0(nonce), known(18));
            w[19] = add(nonce, known(19));
            w[20] = add(small1(w[18]), known(20));
            w[21] = small1(w[19]);
            w[22] = add(small1(w[20]), known(22));
            w[23] = add(small1(w[21]), known(23));
            w[24] = add(small1(w[22]), known(24));
            w[25] = add(small1(w[23]), w[18]);
            w[26] = add(small1(w[24]), w[19]);
            w[27] = add(small1(w[25]), w[20]);
            w[28] = add(small1(w[26]), w[21]);
            w[29] = add(small1(w[27]), w[22]);
            w[30] = add(add(small1(w[28]), w[23]), known(30));
            w[31] = add(add(small1(w[29]), w[24]), known(31));
            w[32] = add(add(small1(w[30]), w[25]), known(32));
            w[33] = word(known(33), w[18], w[26], w[31]);
        }

        /// A word of the schedule from those 16, 15, 7 and 2 before it.
        #[inline]
        #[target_feature(enable = $feature)]
        fn word(w16: V, w15: V, w7: V, w2: V) -> V {
            add(add(small1(w2), w7), add(small0(w15), w16))
        }

        /// A round; `sum` is what is added to both new words: constant, word and the old `h`.
        #[inline]
        #[target_feature(enable = $feature)]
        fn round([a, b, c, d, e, f, g, _]: [V; 8], sum: V) -> [V; 8] {
            let first = add(add(sum, ch(e, f, g)), big1(e));
            let second = add(big0(a), maj(a, b, c));
            [add(first, second), a, b, c, pin(add(d, first)), e, f, g]
        }

        /// A round whose `a` nobody needs; what stands in its place means nothing.
        #[inline]
        #[target_feature(enable = $feature)]
        fn round_of_e([a, b, c, d, e, f, g, _]: [V; 8], sum: V) -> [V; 8] {
            let first = add(add(sum, ch(e, f, g)), big1(e));
            [a, a, b, c, pin(add(d, first)), e, f, g]
        }

        /// SHA-256 of the header: rounds 4 to 63 of its second block, on top of the first.
        #[inline]
        #[target_feature(enable = $feature)]
        fn first_hashes(
            midstate: &Midstate,
            nonces: [V; STREAMS],
            sums: &[[V; 64]; STREAMS],
        ) -> [[V; 8]; STREAMS] {
            let mut states = [splats(midstate.start); STREAMS];
            for (state, nonce) in states.iter_mut().zip(nonces) {
                state[0] = add(state[0], nonce);
                state[4] = add(state[4], nonce);
            }
            unrolled!(index in 0 1 2 => {
                for state in &mut states {
                    *state = round(*state, splat(midstate.sums[index]));
                }
            });
            unrolled!(t in 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
                33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60
                61 62 63 => {
                for (state, sums) in states.iter_mut().zip(sums) {
                    *state = round(*state, add(state[7], sums[t]));
                }
            });
            for state in &mut states {
                let before = splats(midstate.state);
                unrolled!(at in 0 1 2 3 4 5 6 7 => { state[at] = add(state[at], before[at]); });
            }
            states
        }

        #[inline]
        #[target_feature(enable = $feature)]
        fn splats([a, b, c, d, e, f, g, h]: [u32; 8]) -> [V; 8] {
            [splat(a), splat(b), splat(c), splat(d), splat(e), splat(f), splat(g), splat(h)]
        }

        /// The last word of SHA-256 of a hash.
        #[inline]
        #[target_feature(enable = $feature)]
        fn last_word(hash: [V; 8]) -> V {
            // The block, and then, in the place of the word 16 before it, each word of the schedule.
            let mut w = [splat(0); 16];
            w[..8].copy_from_slice(&hash);
            w[8] = splat(PADDING);
            w[15] = splat(HASH_BITS);
            // Round 0, in which the word is the only thing that is not constant.
            let mut state = splats(const { sha256::round(INITIAL, K[0]) });
            state[0] = add(state[0], w[0]);
            state[4] = add(state[4], w[0]);
            unrolled!(t in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 => {
                state = round(state, add(state[7], add(w[t], splat(K[t]))));
            });
            unrolled!(t in 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40
                41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 => {
                state = round(state, add(state[7], next_sum(&mut w, t)));
            });
            unrolled!(t in 57 58 59 => {
                state = round_of_e(state, add(state[7], next_sum(&mut w, t)));
            });
            let last = add(next_sum(&mut w, 60), splat(INITIAL[7]));
            round_of_e(state, add(state[7], last))[4]
        }

        /// Constant plus word of round `t`, where the schedule makes the word.
        #[inline]
        #[target_feature(enable = $feature)]
        fn next_sum(w: &mut [V; 16], t: usize) -> V {
            w[t % 16] = word(w[t % 16], w[(t - 15) % 16], w[(t - 7) % 16], w[(t - 2) % 16]);
            add(w[t % 16], splat(K[t]))
        }
    };
}

pub(super) use {lanes_kernel, unrolled};
