//! Rotation of queries and keys by their position (rotary embedding; xPos without its scale).
//!
//! Head by head, neighbouring numbers (x0, x1) turn by position x angle_i to (x0 cos - x1 sin, x1 cos + x0 sin), where
//! angle_i = 10000^-(i / (n-1)), i = 0 .. n-1 and n is half the width of a head.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;

/// The angles of a head of `key_width` numbers, rounded to f32 as the published weights store them.
pub fn angles(key_width: usize) -> Vec<f32> {
    let half = key_width / 2;
    (0..half).map(|i| (1.0 / 10000f64.powf(i as f64 / (half.max(2) - 1) as f64)) as f32).collect()
}

/// Cosines and sines for each token of a packed batch.
#[derive(Clone, Debug)]
pub struct Positions {
    half_width: usize,
    /// Row of the tables for each token.
    rows: Vec<u32>,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Positions {
    /// Tables for sequences with these `offsets`, the first of which starts at `first_position` (not 0 where a block
    /// cut from the middle of a long sequence is computed).
    pub fn new(key_width: usize, offsets: &[usize], first_position: usize) -> Self {
        let half_width = key_width / 2;
        let angles = angles(key_width);
        let mut rows = Vec::with_capacity(offsets.last().copied().unwrap_or(0));
        for bounds in offsets.windows(2) {
            rows.extend((0..bounds[1] - bounds[0]).map(|row| row as u32));
        }
        let count = rows.iter().max().map_or(0, |&row| row as usize + 1);
        let (mut cosines, mut sines) = (Vec::with_capacity(count * half_width), Vec::with_capacity(count * half_width));
        for position in first_position..first_position + count {
            for &angle in &angles {
                // In f64, since position x angle in f32 is off by radians at a million nucleotides.
                let (sine, cosine) = (position as f64 * angle as f64).sin_cos();
                cosines.push(cosine as f32);
                sines.push(sine as f32);
            }
        }
        Self { half_width, rows, cosines, sines }
    }
}

/// Rotates `input` [tokens, heads x key_width] by `positions` and multiplies it by `scale`.
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn rotate(input: &Tensor, positions: &Arc<Positions>, scale: f64) -> Result<Tensor> {
    input.contiguous()?.apply_op1(Rotation { positions: positions.clone(), scale: scale as f32, direction: 1.0 })
}

#[derive(Clone)]
struct Rotation {
    positions: Arc<Positions>,
    scale: f32,
    /// 1 forward, -1 for the gradient, which turns the other way.
    direction: f32,
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn turn(head: &[f32], cosines: &[f32], sines: &[f32], scale: f32, direction: f32, out: &mut [f32]) {
    let (pairs, _) = head.as_chunks::<2>();
    let (out, _) = out.as_chunks_mut::<2>();
    for (((pair, out), &cosine), &sine) in pairs.iter().zip(out).zip(cosines).zip(sines) {
        let (cosine, sine) = (cosine * scale, sine * direction * scale);
        *out = [pair[0] * cosine - pair[1] * sine, pair[1] * cosine + pair[0] * sine];
    }
}

impl CustomOp1 for Rotation {
    fn name(&self) -> &'static str {
        "rotation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = layout.shape().dims2()?;
        let half = self.positions.half_width;
        if self.positions.rows.len() != tokens || width % (2 * half) != 0 {
            candle_core::bail!(
                "rotation: {:?} meets {} positions of {half} angles",
                layout.shape(),
                self.positions.rows.len()
            );
        }
        let input = contiguous::<f32>(storage, layout, "rotation")?;
        let mut out = vec![0f32; input.len()];
        for ((row, out), &position) in
            input.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(&self.positions.rows)
        {
            let start = position as usize * half;
            let cosines = &self.positions.cosines[start..start + half];
            let sines = &self.positions.sines[start..start + half];
            for (head, out) in row.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)) {
                turn(head, cosines, sines, self.scale, self.direction, out);
            }
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _input: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = Rotation { direction: -self.direction, ..self.clone() };
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&back)?))
    }
}
