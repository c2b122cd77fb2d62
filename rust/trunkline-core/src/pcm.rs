//! Linear samples: as bytes, and as one channel or two.

/// Reads little-endian 16-bit samples; `bytes` holds two for each.
pub(crate) fn samples(bytes: &[u8]) -> impl Iterator<Item = i16> + '_ {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|pair| i16::from_le_bytes(*pair))
}

/// Takes a channel out of interleaved stereo.
pub(crate) fn channel(stereo: &[i16], which: usize) -> impl Iterator<Item = i16> + '_ {
    stereo
        .as_chunks::<2>()
        .0
        .iter()
        .map(move |pair| pair[which])
}

/// Makes one channel of interleaved stereo: the mean of both, which cannot clip.
pub(crate) fn downmix(stereo: &[i16]) -> impl Iterator<Item = i16> + '_ {
    stereo
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[left, right]| left.midpoint(*right))
}

/// Rounds to the nearest sample, and clips what the filter overshoots.
///
/// Adding 1.5 · 2²³ moves the integer into the mantissa's lowest bits, rounded; unlike `as`, that takes two instructions on every machine.
#[inline]
pub(crate) fn round(sum: f32) -> i16 {
    const INTEGERS_LOWEST: f32 = 12_582_912.0;
    let clipped = if sum < -32_768.0 { -32_768.0 } else { sum };
    let clipped = if clipped > 32_767.0 {
        32_767.0
    } else {
        clipped
    };
    let [low, high, ..] = (clipped + INTEGERS_LOWEST).to_bits().to_le_bytes();
    i16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_little_endian() {
        let read: Vec<i16> = samples(&[0x01, 0x00, 0xFF, 0xFF, 0x00, 0x80]).collect();
        assert_eq!(read, [1, -1, i16::MIN]);
    }

    #[test]
    fn stereo_is_interleaved() {
        let stereo = [1, 2, 3, 4];
        assert_eq!(channel(&stereo, 0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(channel(&stereo, 1).collect::<Vec<_>>(), [2, 4]);
        let loud = [i16::MAX, i16::MAX, i16::MIN, i16::MIN, 100, -100];
        assert_eq!(downmix(&loud).collect::<Vec<_>>(), [i16::MAX, i16::MIN, 0]);
    }
}
