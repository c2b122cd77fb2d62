//! What the benches share: the bound that the converter's are measured by, and the messages of a call.

#![allow(
    unsafe_code,
    reason = "not every processor has the instructions that are counted"
)]

/// Does so many multiply-accumulates of single precision and nothing else, as fast as the processor can: in registers, each independent of
/// the one before. No resampler with a filter of that length is faster.
#[inline(never)]
#[must_use]
pub fn multiply_accumulates(count: usize) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { fused(count) };
    }
    plain(count)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused(count: usize) -> f32 {
    use std::arch::x86_64::{_mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps};
    use std::hint::black_box;

    let (weight, input) = black_box((_mm256_set1_ps(0.5), _mm256_set1_ps(0.25)));
    let mut sums = [weight; 12];
    for _ in 0..count / (8 * sums.len()) {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(weight, input, *sum);
        }
    }
    sums.into_iter().map(|sum| _mm256_cvtss_f32(sum)).sum()
}

fn plain(count: usize) -> f32 {
    let (weight, input) = std::hint::black_box((0.5_f32, 0.25_f32));
    let mut sums = [0.0_f32; 32];
    for _ in 0..count / sums.len() {
        for sum in &mut sums {
            *sum += weight * input;
        }
        sums = std::hint::black_box(sums);
    }
    sums.into_iter().sum()
}

/// A carrier's message with 20 ms of µ-law.
#[must_use]
pub fn carrier_message() -> String {
    let payload = letters(160);
    format!(
        r#"{{"event":"media","sequenceNumber":"17","media":{{"track":"inbound","chunk":"17","timestamp":"340","payload":"{payload}"}},"streamSid":"MZ00000000000000000000000000000001"}}"#
    )
}

/// A provider's message with 20 ms of linear samples at 24 kHz.
#[must_use]
pub fn provider_message() -> String {
    delta(&letters(960))
}

/// A provider's message with 20 ms of µ-law.
#[must_use]
pub fn mulaw_message() -> String {
    delta(&letters(160))
}

fn delta(audio: &str) -> String {
    format!(
        r#"{{"type":"response.output_audio.delta","event_id":"event_0123456789abcdefghij","response_id":"resp_0123456789","item_id":"item_0123456789","output_index":0,"content_index":0,"delta":"{audio}"}}"#
    )
}

/// Base64 of so many bytes that no branch predictor knows by heart.
fn letters(bytes: usize) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = bytes / 3 * 4;
    let text = (0..whole).map(|at| char::from(alphabet[at * 7_919 % 251 % 64]));
    text.chain(["", "AA==", "AAA="][bytes % 3].chars())
        .collect()
}
