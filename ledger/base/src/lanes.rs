//! Comparing eight numbers at once: what a bucket of an index is searched with.

/// Bit `i` is set where `lanes[i]` equals `value`.
#[inline(always)]
#[must_use]
pub fn equal(lanes: &[u32; 8], value: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has SSE2.
    return unsafe { sse2::equal(lanes, value) };
    #[cfg(not(target_arch = "x86_64"))]
    return portable(lanes, value);
}

/// The same on any machine.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(lanes: &[u32; 8], value: u32) -> u32 {
    lanes
        .iter()
        .enumerate()
        .fold(0, |bits, (i, lane)| bits | u32::from(*lane == value) << i)
}

/// With the instructions every x86-64 has; the compiler does not find them by itself.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32,
        _mm_set1_epi32, _mm_setzero_si128,
    };

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn equal(lanes: &[u32; 8], value: u32) -> u32 {
        let [low, high]: [__m128i; 2] = zerocopy::transmute!(*lanes);
        let value = _mm_set1_epi32(value.cast_signed());
        let low = _mm_cmpeq_epi32(low, value);
        let high = _mm_cmpeq_epi32(high, value);
        // Narrow each answer to a byte, whose top bit is the answer.
        let bytes = _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
        _mm_movemask_epi8(bytes).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_its_bit() {
        for bits in 0..=255_u32 {
            let lanes = std::array::from_fn(|i| if bits >> i & 1 == 1 { 7 } else { 0x8000_0007 });
            assert_eq!(equal(&lanes, 7), bits);
            assert_eq!(portable(&lanes, 7), bits);
        }
    }
}
