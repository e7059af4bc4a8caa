//! BLAKE2b with 64 bytes of output (RFC 7693), which minisign hashes files with; the cryptographic library has none.

const BLOCK_BYTES: usize = 128;

/// RFC 7693, section 2.6.
const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// RFC 7693, section 2.7.
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// Which four words each of the eight mixings of a round takes (RFC 7693, section 3.2).
const LANES: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// Hashes bytes piece by piece.
pub(crate) struct Blake2b {
    state: [u64; 8],
    waiting: Vec<u8>,
    count: u128,
}

impl Blake2b {
    /// Starts an empty hash of 64 bytes, without a key.
    pub(crate) fn new() -> Self {
        let mut state = IV;
        if let Some(first) = state.first_mut() {
            *first ^= 0x0101_0000 ^ 64;
        }
        Self { state, waiting: Vec::with_capacity(BLOCK_BYTES), count: 0 }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // The last block waits for the end, because it is compressed with another flag.
            if self.waiting.len() == BLOCK_BYTES {
                self.compress(false);
            }
            let room = BLOCK_BYTES.saturating_sub(self.waiting.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.waiting.extend_from_slice(now);
            self.count += now.len() as u128;
            bytes = later;
        }
    }

    /// Ends the hash.
    pub(crate) fn finish(mut self) -> [u8; 64] {
        self.waiting.resize(BLOCK_BYTES, 0);
        self.compress(true);
        let mut out = [0u8; 64];
        for (bytes, word) in out.chunks_exact_mut(8).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    #[expect(clippy::indexing_slicing, reason = "every index is a constant of the tables above, below 16")]
    fn compress(&mut self, last: bool) {
        let mut words = [0u64; 16];
        for (word, bytes) in words.iter_mut().zip(self.waiting.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        }
        self.waiting.clear();
        let mut v = [0u64; 16];
        for (word, from) in v.iter_mut().zip(self.state.iter().chain(&IV)) {
            *word = *from;
        }
        v[12] ^= self.count as u64;
        v[13] ^= (self.count >> 64) as u64;
        if last {
            v[14] = !v[14];
        }
        for round in 0..12 {
            let order = &SIGMA[round % 10];
            for (lane, [a, b, c, d]) in LANES.into_iter().enumerate() {
                let (x, y) = (words[order[2 * lane]], words[order[2 * lane + 1]]);
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
                v[d] = (v[d] ^ v[a]).rotate_right(32);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right(24);
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
                v[d] = (v[d] ^ v[a]).rotate_right(16);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right(63);
            }
        }
        for (at, word) in self.state.iter_mut().enumerate() {
            *word ^= v[at] ^ v[at + 8];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::digest::hex;

    fn hash(bytes: &[u8]) -> String {
        let mut hash = Blake2b::new();
        hash.update(bytes);
        hex(&hash.finish())
    }

    #[test]
    fn gives_the_known_hashes() {
        // RFC 7693, appendix A, and the hash of nothing.
        assert_eq!(
            hash(b"abc"),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
             7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
        );
        assert_eq!(
            hash(b""),
            "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419\
             d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce"
        );
    }

    #[test]
    fn pieces_make_the_same_hash_as_the_whole() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        for length in [0, 1, 127, 128, 129, 255, 256, 257, 1000] {
            let whole = hash(&bytes[..length]);
            for piece in [1, 7, 64, 128, 200] {
                let mut hash = Blake2b::new();
                bytes[..length].chunks(piece).for_each(|part| hash.update(part));
                assert_eq!(hex(&hash.finish()), whole, "{length} in pieces of {piece}");
            }
        }
    }
}
