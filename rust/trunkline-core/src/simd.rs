//! The resampler's inner loops for processors with AVX2 and FMA, which is found out at run time.
//!
//! Each output is summed in an order of its own here too, so chunks do not change a bit. Beside the [portable loops](crate::resample) a
//! sample may differ by one, because a fused multiply-add rounds once where they round twice.

#![allow(
    unsafe_code,
    reason = "not every processor has these instructions, and they read memory by its address"
)]

use std::arch::x86_64::{
    __m128i, __m256, _mm_or_si128, _mm_packs_epi32, _mm_setzero_si128, _mm_shuffle_epi8,
    _mm256_add_ps, _mm256_broadcast_ss, _mm256_castsi256_si128, _mm256_cvtps_epi32,
    _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_hadd_ps, _mm256_loadu_ps,
    _mm256_permute2f128_ps, _mm256_setzero_ps,
};
use std::mem;

use crate::filter::Filter;

/// Samples in a register of 32-bit numbers.
const EIGHT: usize = 8;

/// Outputs that are summed side by side where each takes a register or two.
const FOUR: usize = 4;

/// Registers of inputs that meet the same weight.
const WIDE: usize = 4;

/// Proof that the processor has AVX2 and FMA: there is no other way to get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// Fills `out` from the input at which the first output, which is of this phase, begins.
    #[expect(clippy::unused_self, reason = "that there is one is the proof")]
    pub(crate) fn pull(self, filter: &Filter, phase: usize, inputs: &[f32], out: &mut [i16]) {
        // SAFETY: `self` proves that the processor has what the functions are compiled for.
        unsafe {
            match (filter.up, filter.down) {
                (2, 1) => raise::<2, 2>(filter, inputs, out),
                (3, 1) => raise::<3, 3>(filter, inputs, out),
                (4, 1) => raise::<4, 2>(filter, inputs, out),
                (6, 1) => raise::<6, 3>(filter, inputs, out),
                (1, 2) => lower::<2, 4>(filter, inputs, out),
                (1, 3) => lower::<3, 8>(filter, inputs, out),
                (1, 4) => lower::<4, 4>(filter, inputs, out),
                (1, 6) => lower::<6, 4>(filter, inputs, out),
                _ => step(filter, phase, inputs, out),
            }
        }
    }
}

/// Each input completes `UP` outputs, one of each phase. `TOGETHER` phases share each register of inputs.
#[target_feature(enable = "avx2,fma")]
fn raise<const UP: usize, const TOGETHER: usize>(
    filter: &Filter,
    mut inputs: &[f32],
    out: &mut [i16],
) {
    const { assert!(UP.is_multiple_of(TOGETHER)) };
    let block = EIGHT * WIDE * UP;
    let (blocks, rest) = out.split_at_mut(out.len() - out.len() % block);
    for block in blocks.chunks_exact_mut(block) {
        let mut made = [[_mm_setzero_si128(); UP]; WIDE];
        for first in (0..UP).step_by(TOGETHER) {
            let sums = weigh::<TOGETHER>(filter, first, inputs);
            for (phase, sums) in (first..).zip(sums) {
                for (made, sum) in made.iter_mut().zip(sums) {
                    made[phase] = rounded(sum);
                }
            }
        }
        for (out, made) in block.chunks_exact_mut(EIGHT * UP).zip(made) {
            interleave(made, out);
        }
        inputs = &inputs[EIGHT * WIDE..];
    }
    for (group, at) in rest.chunks_exact_mut(UP).zip(0..) {
        for (phase, sample) in group.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (&weight, &input) in filter.phase(phase).iter().zip(&inputs[at..]) {
                sum = weight.mul_add(input, sum);
            }
            *sample = crate::pcm::round(sum);
        }
    }
}

/// Weighs each run of neighbouring inputs with the rows of neighbouring phases.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn weigh<const TOGETHER: usize>(
    filter: &Filter,
    first: usize,
    inputs: &[f32],
) -> [[__m256; WIDE]; TOGETHER] {
    let mut rows = [&[][..]; TOGETHER];
    for (row, phase) in rows.iter_mut().zip(first..) {
        *row = &filter.phase(phase)[..filter.taps];
    }
    let mut sums = [[_mm256_setzero_ps(); WIDE]; TOGETHER];
    for (tap, run) in inputs.windows(EIGHT * WIDE).take(filter.taps).enumerate() {
        let weights = rows.map(|row| _mm256_broadcast_ss(&row[tap]));
        for (at, eight) in run.as_chunks().0.iter().enumerate() {
            let eight = load(eight);
            for (sums, weight) in sums.iter_mut().zip(weights) {
                sums[at] = _mm256_fmadd_ps(weight, eight, sums[at]);
            }
        }
    }
    sums
}

/// Of every `DOWN` inputs one begins an output, and all have the same row. Outputs that lie `APART` of each other begin whole registers of
/// inputs apart, so that they can share those.
#[target_feature(enable = "avx2,fma")]
fn lower<const DOWN: usize, const APART: usize>(
    filter: &Filter,
    mut inputs: &[f32],
    out: &mut [i16],
) {
    const { assert!((DOWN * APART).is_multiple_of(EIGHT) && APART.is_multiple_of(FOUR)) };
    let (weights, _) = filter.phase(0).as_chunks();
    let (blocks, rest) = out.split_at_mut(out.len() - out.len() % (2 * APART));
    for block in blocks.chunks_exact_mut(2 * APART) {
        let mut sums = [_mm256_setzero_ps(); 4 * FOUR];
        for first in (0..APART).step_by(FOUR) {
            let shift = DOWN * APART / EIGHT;
            let (near, far) = pairs::<DOWN>(weights, &inputs[first * DOWN..], shift);
            sums[first..][..FOUR].copy_from_slice(&near);
            sums[APART + first..][..FOUR].copy_from_slice(&far);
        }
        for (out, sums) in block.as_chunks_mut().0.iter_mut().zip(sums.as_chunks().0) {
            *out = samples(rounded(totals(sums)));
        }
        inputs = &inputs[2 * APART * DOWN..];
    }
    step(filter, 0, inputs, rest);
}

/// Weighs the inputs of four neighbouring outputs, and of the four that begin `shift` registers later.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn pairs<const DOWN: usize>(
    weights: &[[f32; EIGHT]],
    inputs: &[f32],
    shift: usize,
) -> ([__m256; FOUR], [__m256; FOUR]) {
    let (mut near, mut far) = ([_mm256_setzero_ps(); FOUR], [_mm256_setzero_ps(); FOUR]);
    let mut runs = inputs.windows((FOUR - 1) * DOWN + EIGHT).step_by(EIGHT);
    let (early, late) = weights.split_at(shift);
    for (weights, run) in early.iter().zip(&mut runs) {
        let weights = load(weights);
        for (at, near) in near.iter_mut().enumerate() {
            *near = _mm256_fmadd_ps(weights, load_from(run, at * DOWN), *near);
        }
    }
    for ((late, weights), run) in late.iter().zip(weights).zip(&mut runs) {
        let (late, weights) = (load(late), load(weights));
        for (at, (near, far)) in near.iter_mut().zip(&mut far).enumerate() {
            let eight = load_from(run, at * DOWN);
            *near = _mm256_fmadd_ps(late, eight, *near);
            *far = _mm256_fmadd_ps(weights, eight, *far);
        }
    }
    for (weights, run) in weights[weights.len() - shift..].iter().zip(runs) {
        let weights = load(weights);
        for (at, far) in far.iter_mut().enumerate() {
            *far = _mm256_fmadd_ps(weights, load_from(run, at * DOWN), *far);
        }
    }
    (near, far)
}

/// Each output has a row of its own; eight are totalled at a time.
#[target_feature(enable = "avx2,fma")]
fn step(filter: &Filter, mut phase: usize, mut inputs: &[f32], out: &mut [i16]) {
    let Filter { up, down, taps, .. } = *filter;
    let (skip, turn) = (down / up, down % up);
    for out in out.chunks_mut(EIGHT) {
        let mut sums = [_mm256_setzero_ps(); EIGHT];
        for sum in sums.iter_mut().take(out.len()) {
            *sum = products(filter.phase(phase), &inputs[..taps]);
            phase += turn;
            let carried = usize::from(phase >= up);
            phase -= carried * up;
            inputs = &inputs[(skip + carried).min(inputs.len())..];
        }
        let made = samples(rounded(totals(&sums)));
        out.copy_from_slice(&made[..out.len()]);
    }
}

/// Weighs one run of inputs.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn products(row: &[f32], run: &[f32]) -> __m256 {
    let mut sum = _mm256_setzero_ps();
    for (weights, run) in row.as_chunks().0.iter().zip(run.as_chunks().0) {
        sum = _mm256_fmadd_ps(load(weights), load(run), sum);
    }
    sum
}

/// The sum of each register's lanes.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn totals(sums: &[__m256; EIGHT]) -> __m256 {
    let pairs = |at: usize| _mm256_hadd_ps(sums[at], sums[at + 1]);
    let (low, high) = (
        _mm256_hadd_ps(pairs(0), pairs(2)),
        _mm256_hadd_ps(pairs(4), pairs(6)),
    );
    _mm256_add_ps(
        _mm256_permute2f128_ps::<0x20>(low, high),
        _mm256_permute2f128_ps::<0x31>(low, high),
    )
}

/// Rounds to the nearest samples, and clips what the filter overshoots.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn rounded(sums: __m256) -> __m128i {
    let whole = _mm256_cvtps_epi32(sums);
    _mm_packs_epi32(
        _mm256_castsi256_si128(whole),
        _mm256_extracti128_si256::<1>(whole),
    )
}

/// Writes eight samples of each of `UP` phases in the order of time.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn interleave<const UP: usize>(made: [__m128i; UP], out: &mut [i16]) {
    for (out, from) in out
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(&Places::<UP>::OF_PHASES)
    {
        let mut eight = _mm_setzero_si128();
        for (made, from) in made.into_iter().zip(from) {
            eight = _mm_or_si128(eight, _mm_shuffle_epi8(made, vector(*from)));
        }
        *out = samples(eight);
    }
}

/// Where the samples of each phase go.
struct Places<const UP: usize>;

impl<const UP: usize> Places<UP> {
    const OF_PHASES: [[[u8; 16]; UP]; UP] = places();
}

/// For each register of outputs and each phase, which byte of that phase stands where; 0x80 where none does.
const fn places<const UP: usize>() -> [[[u8; 16]; UP]; UP] {
    let mut places = [[[0x80; 16]; UP]; UP];
    let mut byte = 0_u8;
    while (byte as usize) < 16 * UP {
        let sample = byte / 2;
        let place = &mut places[byte as usize / 16][sample as usize % UP][byte as usize % 16];
        #[expect(
            clippy::cast_possible_truncation,
            reason = "there are at most six phases"
        )]
        let from = sample / UP as u8 * 2 + byte % 2;
        *place = from;
        byte += 1;
    }
    places
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load(eight: &[f32; EIGHT]) -> __m256 {
    // SAFETY: all eight are borrowed, and they need not be aligned.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load_from(run: &[f32], at: usize) -> __m256 {
    load(run[at..].first_chunk().unwrap_or(&[0.0; EIGHT]))
}

fn vector(bytes: [u8; 16]) -> __m128i {
    // SAFETY: both are sixteen bytes, and any sixteen are a vector.
    unsafe { mem::transmute(bytes) }
}

fn samples(vector: __m128i) -> [i16; EIGHT] {
    // SAFETY: both are sixteen bytes, and any sixteen are eight integers.
    unsafe { mem::transmute(vector) }
}
