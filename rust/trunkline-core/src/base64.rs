//! Base64 (RFC 4648, section 4), as wire messages carry audio: padded, without line breaks, and refused unless it is exactly that.

use crate::Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING: u8 = b'=';
const UNKNOWN: u8 = 0xFF;

static VALUES: [u8; 256] = {
    let mut values = [UNKNOWN; 256];
    let mut value = 0_u8;
    while value < 64 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// The two letters of 12 bits: half as many steps as one by one.
static PAIRS: [[u8; 2]; 4096] = {
    let mut pairs = [[0; 2]; 4096];
    let mut bits = 0;
    while bits < 4096 {
        pairs[bits] = [ALPHABET[bits >> 6], ALPHABET[bits & 63]];
        bits += 1;
    }
    pairs
};

/// Replaces what is in `text` by the text of `bytes`.
pub(crate) fn encode(bytes: &[u8], text: &mut Vec<u8>) {
    text.clear();
    append(bytes, text);
}

/// How many characters the text of so many bytes has.
pub(crate) const fn encoded_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

/// Writes the text of `bytes` behind what is in `text`.
pub(crate) fn append(bytes: &[u8], text: &mut Vec<u8>) {
    let start = text.len();
    text.resize(start + encoded_len(bytes.len()), PADDING);
    let (triples, rest) = bytes.as_chunks();
    let fours = text[start..].as_chunks_mut::<4>().0;
    for (four, triple) in fours.iter_mut().zip(triples) {
        *four = letters(*triple);
    }
    if let (Some(last), [first, more @ ..]) = (fours.last_mut(), rest) {
        let four = letters([*first, more.first().copied().unwrap_or(0), 0]);
        last[..=rest.len()].copy_from_slice(&four[..=rest.len()]);
    }
}

/// Replaces what is in `bytes` by what `text` says.
pub(crate) fn decode(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), Error> {
    bytes.clear();
    let (whole, padded) = match text {
        [.., PADDING] => text.split_at(text.len().saturating_sub(4)),
        _ => (text, &[][..]),
    };
    let (fours, odd) = whole.as_chunks();
    bytes.resize(fours.len() * 3, 0);
    let mut seen = 0;
    for (triple, four) in bytes.as_chunks_mut().0.iter_mut().zip(fours) {
        let values = four.map(|letter| VALUES[usize::from(letter)]);
        seen |= values[0] | values[1] | values[2] | values[3];
        *triple = octets(values);
    }
    let end = match *padded {
        [a, b, PADDING, PADDING] => [a, b, ALPHABET[0], ALPHABET[0]],
        [a, b, c, _] => [a, b, c, ALPHABET[0]],
        _ => [ALPHABET[0]; 4],
    };
    let end = end.map(|letter| VALUES[usize::from(letter)]);
    let [first, second, third] = octets(end);
    let unused = match padded {
        [_, _, PADDING, _] => {
            bytes.push(first);
            second
        }
        [_, _, _, _] => {
            bytes.extend([first, second]);
            third
        }
        _ => 0,
    };
    let known = (seen | end[0] | end[1] | end[2]) < 64;
    let complete = odd.is_empty() && matches!(padded.len(), 0 | 4);
    if known && complete && unused == 0 {
        Ok(())
    } else {
        Err(refusal(text))
    }
}

/// Says what is wrong with a text that was refused.
fn refusal(text: &[u8]) -> Error {
    let padding = text.iter().rev().take_while(|&&letter| letter == PADDING);
    let letters = &text[..text.len() - padding.take(2).count()];
    let wrong = |letter: &u8| VALUES[usize::from(*letter)] == UNKNOWN;
    Error::InvalidBase64 {
        len: text.len(),
        at: letters.iter().position(wrong),
    }
}

fn letters([a, b, c]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, a, b, c]);
    let [[first, second], [third, fourth]] = [12, 0].map(|by| PAIRS[(bits >> by) as usize & 4095]);
    [first, second, third, fourth]
}

fn octets(values: [u8; 4]) -> [u8; 3] {
    let [a, b, c, d] = values.map(u32::from);
    let [_, octets @ ..] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut text = b"left over".to_vec();
        encode(bytes, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn decoded(text: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = b"left over".to_vec();
        decode(text.as_bytes(), &mut bytes).map(|()| bytes)
    }

    #[test]
    fn the_standards_vectors() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encoded(bytes.as_bytes()), text);
            assert_eq!(decoded(text), Ok(bytes.into()));
        }
        assert_eq!(encoded(&[0xFB, 0xFF]), "+/8=");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "=", "==", "Zg", "Zg=", "Z===", "====", "Zm9vZg", "Zm9v\n", "Zm=v", "Zg==Zg==", "-_8=",
            "Zm9é", "Zh==", "Zm9=", "Zm 9v",
        ] {
            assert!(decoded(text).is_err(), "{text}");
        }
        assert_eq!(
            decoded("Zm9v!m9v"),
            Err(Error::InvalidBase64 {
                len: 8,
                at: Some(4)
            })
        );
        assert_eq!(
            decoded("Zm9vZ"),
            Err(Error::InvalidBase64 { len: 5, at: None })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(&encoded(&bytes)), Ok(bytes));
        }

        #[test]
        fn whatever_is_taken_is_written_the_same(text in "[A-Za-z0-9+/=]{0,12}") {
            if let Ok(bytes) = decoded(&text) {
                prop_assert_eq!(encoded(&bytes), text);
            }
        }
    }
}
