//! Random numbers that a seed repeats; never for secrets.

/// An xorshift64* generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers follow from the seed; seeds that differ little give unlike numbers.
    pub fn new(seed: u64) -> Self {
        // One step of splitmix64, and never the state 0, which xorshift cannot leave.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)).max(1))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from `low` to `high`, both included; `low` when they are out of order.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.saturating_sub(low).checked_add(1) {
            Some(count) => low + self.draw() % count,
            None => self.draw(),
        }
    }

    /// Fills a buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(self.draw().to_le_bytes()) {
                *byte = random;
            }
        }
    }

    /// A new buffer of random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut buffer = vec![0; length];
        self.fill(&mut buffer);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_bounds_hold() {
        assert_eq!(Random::new(7).bytes(13), Random::new(7).bytes(13));
        assert_ne!(Random::new(7).bytes(13), Random::new(8).bytes(13));
        let mut random = Random::new(0);
        let drawn: Vec<u64> = (0..1000).map(|_| random.between(5, 8)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&5), Some(&8)));
        assert_eq!(random.between(9, 9), 9);
    }
}
