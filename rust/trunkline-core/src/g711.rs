//! G.711 companding (ITU-T G.711, tables 1 and 2), by table both ways.
//!
//! µ-law is defined on 14-bit samples and A-law on 13-bit ones. A 16-bit sample is shifted down arithmetically before it is looked up, as
//! telephone software does everywhere, which keeps the encoding tables small enough for the first-level cache.

const MULAW_SHIFT: u32 = 2;
const ALAW_SHIFT: u32 = 3;
const MULAW_CODES: usize = 1 << (16 - MULAW_SHIFT);
const ALAW_CODES: usize = 1 << (16 - ALAW_SHIFT);

static MULAW_SAMPLES: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0_u8;
    loop {
        table[code as usize] = expand_mulaw(code);
        if code == u8::MAX {
            break table;
        }
        code += 1;
    }
};

static ALAW_SAMPLES: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0_u8;
    loop {
        table[code as usize] = expand_alaw(code);
        if code == u8::MAX {
            break table;
        }
        code += 1;
    }
};

static MULAW_TABLE: [u8; MULAW_CODES] = {
    let mut table = [0; MULAW_CODES];
    let mut sample = i16::MIN;
    loop {
        table[index(sample, MULAW_SHIFT)] = compress_mulaw(sample >> MULAW_SHIFT);
        match sample.checked_add(1 << MULAW_SHIFT) {
            Some(next) => sample = next,
            None => break table,
        }
    }
};

static ALAW_TABLE: [u8; ALAW_CODES] = {
    let mut table = [0; ALAW_CODES];
    let mut sample = i16::MIN;
    loop {
        table[index(sample, ALAW_SHIFT)] = compress_alaw(sample >> ALAW_SHIFT);
        match sample.checked_add(1 << ALAW_SHIFT) {
            Some(next) => sample = next,
            None => break table,
        }
    }
};

/// The 16-bit sample that a µ-law code stands for.
#[must_use]
pub fn mulaw_decode(code: u8) -> i16 {
    MULAW_SAMPLES[usize::from(code)]
}

/// The µ-law code of a 16-bit sample.
#[must_use]
pub fn mulaw_encode(sample: i16) -> u8 {
    MULAW_TABLE[index(sample, MULAW_SHIFT)]
}

/// The 16-bit sample that an A-law code stands for.
#[must_use]
pub fn alaw_decode(code: u8) -> i16 {
    ALAW_SAMPLES[usize::from(code)]
}

/// The A-law code of a 16-bit sample.
#[must_use]
pub fn alaw_encode(sample: i16) -> u8 {
    ALAW_TABLE[index(sample, ALAW_SHIFT)]
}

/// Where a sample stands in an encoding table: its upper bits, read as unsigned.
#[inline]
const fn index(sample: i16, shift: u32) -> usize {
    (sample.cast_unsigned() >> shift) as usize
}

/// Each segment of µ-law doubles the step; 33 is added so that each begins at a power of two.
const fn compress_mulaw(sample: i16) -> u8 {
    let magnitude = sample.unsigned_abs();
    let biased = if magnitude > 8_158 {
        8_191
    } else {
        magnitude + 33
    };
    let segment = 10 - biased.leading_zeros();
    let code = (segment << 4) | (biased as u32 >> (segment + 1)) & 0x0F;
    low_byte(code) ^ if sample < 0 { 0x7F } else { 0xFF }
}

const fn expand_mulaw(code: u8) -> i16 {
    let code = !code;
    let biased = (((code & 0x0F) as i16) << 3) + 0x84;
    let magnitude = (biased << ((code & 0x70) >> 4)) - 0x84;
    if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// A-law's first two segments have the same step; from there each doubles it. Every other bit is inverted.
const fn compress_alaw(sample: i16) -> u8 {
    let magnitude = if sample < 0 { !sample } else { sample }.unsigned_abs();
    let segment = 11_u32.saturating_sub(magnitude.leading_zeros());
    let step = if segment == 0 { 1 } else { segment };
    let code = (segment << 4) | (magnitude as u32 >> step) & 0x0F;
    low_byte(code) ^ if sample < 0 { 0x55 } else { 0xD5 }
}

const fn expand_alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code & 0x70) >> 4;
    let half_step = (((code & 0x0F) as i16) << 4) + 8;
    let magnitude = if segment == 0 {
        half_step
    } else {
        (half_step + 0x100) << (segment - 1)
    };
    if code & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

const fn low_byte(code: u32) -> u8 {
    code.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> impl Iterator<Item = i16> {
        i16::MIN..=i16::MAX
    }

    #[test]
    fn the_ends_of_the_standards_tables() {
        // ITU-T G.711, tables 2a and 2b (µ-law): the outermost and innermost values, scaled from 14 to 16 bits.
        assert_eq!(
            [0x80, 0x00, 0xFF, 0x7F].map(mulaw_decode),
            [32_124, -32_124, 0, 0]
        );
        assert_eq!([0xFE, 0x7E].map(mulaw_decode), [8, -8]);
        assert_eq!([0, 32_767, -32_768].map(mulaw_encode), [0xFF, 0x80, 0x00]);
        // Tables 1a and 1b (A-law), scaled from 13 bits, with the even bits inverted.
        assert_eq!(
            [0xAA, 0x2A, 0xD5, 0x55].map(alaw_decode),
            [32_256, -32_256, 8, -8]
        );
        assert_eq!(
            [0, -1, 32_767, -32_768].map(alaw_encode),
            [0xD5, 0x55, 0xAA, 0x2A]
        );
    }

    #[test]
    fn every_code_survives_a_round_trip() {
        for code in 0..=u8::MAX {
            assert_eq!(alaw_encode(alaw_decode(code)), code);
            // µ-law has two zeros; the negative one comes back as the positive one.
            let expected = if code == 0x7F { 0xFF } else { code };
            assert_eq!(mulaw_encode(mulaw_decode(code)), expected);
        }
    }

    #[test]
    fn encoding_is_monotonic_and_within_half_a_step() {
        for (encode, decode) in [
            (mulaw_encode as fn(i16) -> u8, mulaw_decode as fn(u8) -> i16),
            (alaw_encode, alaw_decode),
        ] {
            let coded: Vec<i16> = samples().map(|sample| decode(encode(sample))).collect();
            assert!(coded.is_sorted());
            for (sample, coded) in samples().zip(coded) {
                let error = (i32::from(sample) - i32::from(coded)).abs();
                let magnitude = i32::from(sample).abs();
                assert!(error <= 16 + magnitude / 32, "{sample} became {coded}");
            }
        }
    }
}
