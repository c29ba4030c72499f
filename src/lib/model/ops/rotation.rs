//! Rotation of queries and keys by their position (rotary embedding, Su et al., arXiv:2104.09864; xPos without its scale).
//!
//! Head by head, two numbers (x0, x1) turn by position x angle_i to (x0 cos - x1 sin, x1 cos + x0 sin). For retention they are
//! neighbours, and angle_i = 10000^-(i / (n-1)), i = 0 .. n-1, where n is half the width of a head. For attention number i of
//! the first half of a head turns with number i of its second half, and angle_i = base^-(i / n).

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

/// Which two numbers of a head turn with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pairing {
    /// Neighbours.
    Neighbours,
    /// One of the first half and one of the second.
    Halves,
}

/// Where the tokens of a packed batch stand, and the cosines and sines of their angles: computed when they are needed,
/// where they are needed.
#[derive(Debug)]
pub struct Positions {
    key_width: usize,
    pairing: Pairing,
    angles: Vec<f32>,
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
    /// block cut from the middle of a long sequence is computed). Neighbours turn, as in retention.
    pub fn new(key_width: usize, offsets: &[usize], first_position: usize) -> Self {
        Self::with(Pairing::Neighbours, angles(key_width), key_width, offsets, first_position)
    }

    /// The same for attention: halves turn, with the angles of this `base`. The last number of a head of odd width is left as
    /// it is.
    pub fn halves(key_width: usize, base: f64, offsets: &[usize], first_position: usize) -> Self {
        let half = key_width / 2;
        let angles = (0..half).map(|i| base.powf(-(i as f64) / half as f64) as f32).collect();
        Self::with(Pairing::Halves, angles, key_width, offsets, first_position)
    }

    fn with(pairing: Pairing, angles: Vec<f32>, key_width: usize, offsets: &[usize], first_position: usize) -> Self {
        let mut rows = Vec::with_capacity(offsets.last().copied().unwrap_or(0));
        for bounds in offsets.windows(2) {
            rows.extend((0..bounds[1] - bounds[0]).map(|row| row as u32));
        }
        Self {
            key_width,
            pairing,
            angles,
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
            let (angles, count) = (&self.angles, self.count());
            let mut table = Table {
                cosines: Vec::with_capacity(count * angles.len()),
                sines: Vec::with_capacity(count * angles.len()),
            };
            for position in self.first_position..self.first_position + count {
                for &angle in angles {
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
        let angles = machine.upload(&positions.angles)?;
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

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn turn_halves(head: &[f32], cosines: &[f32], sines: &[f32], scale: f32, direction: f32, out: &mut [f32]) {
    let half = cosines.len();
    let ((first, rest), (out_first, out_rest)) = (head.split_at(half), out.split_at_mut(half));
    for i in 0..half {
        let (cosine, sine) = (cosines[i] * scale, sines[i] * direction * scale);
        out_first[i] = first[i] * cosine - rest[i] * sine;
        out_rest[i] = rest[i] * cosine + first[i] * sine;
    }
    for (out, x) in out_rest[half..].iter_mut().zip(&rest[half..]) {
        *out = x * scale;
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
            let head_width = self.positions.key_width;
            for (head, out) in row.chunks_exact(head_width).zip(out.chunks_exact_mut(head_width)) {
                match self.positions.pairing {
                    Pairing::Neighbours => turn(head, cosines, sines, self.scale, self.direction, out),
                    Pairing::Halves => turn_halves(head, cosines, sines, self.scale, self.direction, out),
                }
            }
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let width = self.positions.check(layout)?;
        if self.positions.pairing != Pairing::Neighbours {
            candle_core::bail!("rotation: halves are turned on the CPU only");
        }
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

    /// Number i turns with number half + i by position x base^-(i / half); the odd one out stays; and the gradient turns back.
    #[test]
    fn halves_turn_with_each_other() {
        for key_width in [6, 7] {
            let (half, first) = (key_width / 2, 5);
            let positions = Arc::new(Positions::halves(key_width, 100.0, &[0, 4], first));
            let values: Vec<f32> = numbers(4 * 2 * key_width, 1, 1.0).into_iter().map(|x| x as f32).collect();
            let input = candle_core::Var::from_vec(values.clone(), (4, 2 * key_width), &Device::Cpu).unwrap();
            let turned = rotate(&input, &positions, 2.0).unwrap();
            let ours = turned.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (row, (head, ours)) in values.chunks(key_width).zip(ours.chunks(key_width)).enumerate() {
                for i in 0..half {
                    let angle = (first + row / 2) as f64 * 100f64.powf(-(i as f64) / half as f64);
                    let (sine, cosine) = angle.sin_cos();
                    let (a, b) = (f64::from(head[i]), f64::from(head[half + i]));
                    assert!((f64::from(ours[i]) - 2.0 * (a * cosine - b * sine)).abs() < 1e-5);
                    assert!((f64::from(ours[half + i]) - 2.0 * (b * cosine + a * sine)).abs() < 1e-5);
                }
                assert!(key_width % 2 == 0 || ours[key_width - 1] == 2.0 * head[key_width - 1]);
            }
            // Half the square of what is turned has the gradient scale^2 x input.
            let gradients = (turned.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap().backward().unwrap();
            let gradient = gradients.get(&input).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(gradient.iter().zip(&values).all(|(g, x)| (g - 4.0 * x).abs() < 1e-5));
        }
    }

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        kernels::<f32>(1e-6);
        kernels::<half::bf16>(4e-3);
    }
}
