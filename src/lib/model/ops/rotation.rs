//! Rotation of queries and keys by their position (rotary embedding; xPos without its scale).
//!
//! Head by head, neighbouring numbers (x0, x1) turn by position x angle_i to (x0 cos - x1 sin, x1 cos + x0 sin), where
//! angle_i = 10000^-(i / (n-1)), i = 0 .. n-1 and n is half the width of a head.

use std::sync::{Arc, OnceLock};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, Number, blocks, name_of};

/// The angles of a head of `key_width` numbers, rounded to f32 as the published weights store them.
pub fn angles(key_width: usize) -> Vec<f32> {
    let half = key_width / 2;
    (0..half).map(|i| (1.0 / 10000f64.powf(i as f64 / (half.max(2) - 1) as f64)) as f32).collect()
}

/// Where the tokens of a packed batch stand, and the cosines and sines of their angles: computed when they are needed,
/// where they are needed.
#[derive(Debug)]
pub struct Positions {
    key_width: usize,
    /// Row of the tables for each token.
    rows: Vec<u32>,
    first_position: usize,
    host: OnceLock<Table>,
    #[cfg(feature = "cuda")]
    on_device: OnceLock<DeviceTable<crate::model::cuda::Gpu>>,
}

/// Cosines and sines, [positions, half of a head's width] each.
#[derive(Debug)]
struct Table {
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Positions {
    /// The positions of sequences with these `offsets`, the first of which starts at `first_position` (not 0 where a
    /// block cut from the middle of a long sequence is computed).
    pub fn new(key_width: usize, offsets: &[usize], first_position: usize) -> Self {
        let mut rows = Vec::with_capacity(offsets.last().copied().unwrap_or(0));
        for bounds in offsets.windows(2) {
            rows.extend((0..bounds[1] - bounds[0]).map(|row| row as u32));
        }
        Self {
            key_width,
            rows,
            first_position,
            host: OnceLock::new(),
            #[cfg(feature = "cuda")]
            on_device: OnceLock::new(),
        }
    }

    fn half_width(&self) -> usize {
        self.key_width / 2
    }

    /// Rows of the tables.
    fn count(&self) -> usize {
        self.rows.iter().max().map_or(0, |&row| row as usize + 1)
    }

    /// The tables in main memory.
    fn table(&self) -> &Table {
        self.host.get_or_init(|| {
            let (angles, count) = (angles(self.key_width), self.count());
            let mut table = Table {
                cosines: Vec::with_capacity(count * angles.len()),
                sines: Vec::with_capacity(count * angles.len()),
            };
            for position in self.first_position..self.first_position + count {
                for &angle in &angles {
                    // In f64, since position x angle in f32 is off by radians at a million nucleotides.
                    let (sine, cosine) = (position as f64 * angle as f64).sin_cos();
                    table.cosines.push(cosine as f32);
                    table.sines.push(sine as f32);
                }
            }
            table
        })
    }

    /// That `layout` is [tokens, heads x key_width]; gives its width.
    fn check(&self, layout: &Layout) -> Result<usize> {
        let (tokens, width) = layout.shape().dims2()?;
        if self.rows.len() != tokens || width % self.key_width != 0 {
            candle_core::bail!(
                "rotation: {:?} meets {} positions of {} angles",
                layout.shape(),
                self.rows.len(),
                self.half_width()
            );
        }
        Ok(width)
    }
}

/// What the kernels know of the positions.
#[cfg(any(feature = "cuda", test))]
struct DeviceTable<M: Machine> {
    rows: M::Memory<u32>,
    cosines: M::Memory<f32>,
    sines: M::Memory<f32>,
}

#[cfg(any(feature = "cuda", test))]
impl<M: Machine> DeviceTable<M> {
    fn new(machine: &M, positions: &Positions) -> Result<Self> {
        let (half, count) = (positions.half_width(), positions.count());
        let angles = machine.upload(&angles(positions.key_width))?;
        let (cosines, sines) = (machine.allocate::<f32>(count * half)?, machine.allocate::<f32>(count * half)?);
        let values = [
            machine.lend(&angles).into(),
            (half as u32).into(),
            (positions.first_position as u64).into(),
            (count as u64).into(),
            machine.lend(&cosines).into(),
            machine.lend(&sines).into(),
        ];
        // SAFETY: the values are this kernel's; both tables have `half` numbers for each of the `count` positions.
        unsafe { machine.launch("elementwise", "rotation_table", [blocks(count * half, 256), 1, 1], 256, &values) }?;
        Ok(Self { rows: machine.upload(&positions.rows)?, cosines, sines })
    }
}

#[cfg(feature = "cuda")]
impl std::fmt::Debug for DeviceTable<crate::model::cuda::Gpu> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("DeviceTable")
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

#[cfg(any(feature = "cuda", test))]
impl Rotation {
    fn run_on<T: Number, M: Machine>(
        &self,
        machine: &M,
        table: &DeviceTable<M>,
        input: Input<T>,
        width: usize,
    ) -> Result<M::Memory<T>> {
        let pairs = input.count() / 2;
        let out = machine.allocate::<T>(input.count())?;
        let values = [
            input.into(),
            machine.lend(&table.rows).into(),
            machine.lend(&table.cosines).into(),
            machine.lend(&table.sines).into(),
            (pairs as u64).into(),
            (width as u32).into(),
            (self.positions.half_width() as u32).into(),
            self.scale.into(),
            self.direction.into(),
            machine.lend(&out).into(),
        ];
        // SAFETY: the values are this kernel's; `out` is as long as `input`; the rows index the tables.
        unsafe { machine.launch("elementwise", &name_of::<T>("rotate"), [blocks(pairs, 256), 1, 1], 256, &values) }?;
        Ok(out)
    }
}

impl CustomOp1 for Rotation {
    fn name(&self) -> &'static str {
        "rotation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = self.positions.check(layout)?;
        let (half, table) = (self.positions.half_width(), self.positions.table());
        let input = contiguous::<f32>(storage, layout, "rotation")?;
        let mut out = vec![0f32; input.len()];
        for ((row, out), &position) in
            input.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(&self.positions.rows)
        {
            let start = position as usize * half;
            let cosines = &table.cosines[start..start + half];
            let sines = &table.sines[start..start + half];
            for (head, out) in row.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)) {
                turn(head, cosines, sines, self.scale, self.direction, out);
            }
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let width = self.positions.check(layout)?;
        let out = on_gpu!(storage, |T, gpu| {
            let table = match self.positions.on_device.get() {
                Some(table) => table,
                None => {
                    let table = DeviceTable::new(&gpu, &self.positions)?;
                    self.positions.on_device.get_or_init(|| table)
                }
            };
            gpu.store(self.run_on(&gpu, table, gpu.input::<T>(storage, layout, "rotation")?, width)?)
        });
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, _input: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = Rotation { direction: -self.direction, ..self.clone() };
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&back)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cuda::emulator::emulated;
    use crate::model::ops::testing::{Rounded, close, numbers, rounded};
    use candle_core::Device;

    /// The kernels give what the CPU gives, forward and back, far down a sequence too.
    fn kernels<T: Rounded>(tolerance: f64) {
        let (heads, key_width, offsets) = (3, 10, [0, 5, 5, 47]);
        let values = rounded::<T>(&numbers(47 * heads * key_width, 1, 1.0));
        let exact: Vec<f32> = values.iter().map(|x| x.exact() as f32).collect();
        for first_position in [0, 1_000_000] {
            for direction in [1.0, -1.0] {
                let positions = Arc::new(Positions::new(key_width, &offsets, first_position));
                let rotation = Rotation { positions: positions.clone(), scale: 0.3, direction };
                let input = Tensor::from_slice(&exact, (47, heads * key_width), &Device::Cpu).unwrap();
                let expected = input.apply_op1_no_bwd(&rotation).unwrap().flatten_all().unwrap();
                let expected: Vec<f64> = expected.to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect();
                emulated(|machine| {
                    let table = DeviceTable::new(machine, &positions).unwrap();
                    let memory = machine.upload(&values).unwrap();
                    let ours = rotation.run_on(machine, &table, machine.lend(&memory), heads * key_width).unwrap();
                    close(&ours.numbers().iter().map(|x| x.exact()).collect::<Vec<_>>(), &expected, tolerance);
                });
            }
        }
    }

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        kernels::<f32>(1e-6);
        kernels::<half::bf16>(4e-3);
    }
}
