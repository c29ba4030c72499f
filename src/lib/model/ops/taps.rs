//! Weights of a convolution, stored [out, in, tap] as everywhere in this field, as the matrices [in, out] of its taps.

/// `weight` [out, in, taps] as [taps, in, out]; where `flipped` that of the transposed convolution, for the gradient: read
/// [in, out, taps], with the taps in reverse.
pub fn by_tap(weight: &[f32], taps: usize, channels: usize, out_channels: usize, flipped: bool) -> Vec<f32> {
    let mut arranged = vec![0f32; weight.len()];
    for tap in 0..taps {
        for c in 0..channels {
            for o in 0..out_channels {
                let source = if flipped {
                    (c * out_channels + o) * taps + (taps - 1 - tap)
                } else {
                    (o * channels + c) * taps + tap
                };
                arranged[(tap * channels + c) * out_channels + o] = weight[source];
            }
        }
    }
    arranged
}

/// The way back: `sums` [taps, in, out] as [out, in, taps].
pub fn by_channel(sums: &[f32], taps: usize, channels: usize, out_channels: usize) -> Vec<f32> {
    let mut out = vec![0f32; sums.len()];
    for tap in 0..taps {
        for c in 0..channels {
            for o in 0..out_channels {
                out[(o * channels + c) * taps + tap] = sums[(tap * channels + c) * out_channels + o];
            }
        }
    }
    out
}
