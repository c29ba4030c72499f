//! A GPU as a [`Machine`]: memory, launches, and the way from candle's storage to kernels and back.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, LaunchConfig, PushKernelArg, sys::CUdeviceptr};
use candle_core::cuda_backend::{CudaDevice, CudaStorage, WrapErr};
use candle_core::{Layout, Result};

use super::KERNELS;
use super::machine::{Input, Machine, Number, Value};

/// The device of a tensor.
pub struct Gpu(CudaDevice);

impl Gpu {
    /// This device.
    pub fn new(device: &CudaDevice) -> Self {
        Self(device.clone())
    }

    /// The device that holds `storage`.
    pub fn of(storage: &CudaStorage) -> Self {
        Self(storage.device.clone())
    }

    /// The numbers of a contiguous tensor.
    pub fn input<'a, T: Number>(&self, storage: &'a CudaStorage, layout: &Layout, name: &str) -> Result<Input<'a, T>> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("{name}: a tensor of shape {:?} is not contiguous", layout.shape());
        };
        let slice = storage.as_cuda_slice::<T>()?;
        let first: CUdeviceptr = slice.device_ptr(slice.stream()).0;
        // SAFETY: the layout of a tensor lies in its storage, which is of this type and is borrowed for as long.
        Ok(unsafe { Input::new(first + (start * size_of::<T>()) as u64, end - start) })
    }

    /// Memory as the storage of a tensor.
    pub fn store<T: Number>(&self, memory: CudaSlice<T>) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(memory, self.0.clone())
    }
}

impl Machine for Gpu {
    type Memory<T: Number> = CudaSlice<T>;

    fn allocate<T: Number>(&self, count: usize) -> Result<CudaSlice<T>> {
        // SAFETY: every operation writes all numbers of what it allocates before anything reads them; the emulator fills
        // such memory with NaN, so that the operations' tests show one that is left out.
        unsafe { self.0.alloc(count.max(1)) }
    }

    fn upload<T: Number>(&self, numbers: &[T]) -> Result<CudaSlice<T>> {
        self.0.clone_htod(numbers)
    }

    fn lend<'a, T: Number>(&self, memory: &'a CudaSlice<T>) -> Input<'a, T> {
        // SAFETY: these are the numbers of a slice that is borrowed for as long.
        unsafe { Input::new(memory.device_ptr(memory.stream()).0, memory.len()) }
    }

    unsafe fn launch(&self, file: &str, name: &str, grid: [usize; 3], threads: usize, values: &[Value]) -> Result<()> {
        let Some((_, text)) = KERNELS.iter().find(|(known, _)| *known == file) else {
            candle_core::bail!("there is no file of kernels named {file}");
        };
        let function = self.0.get_or_load_custom_func(name, file, text)?;
        let mut builder = function.builder();
        for value in values {
            match value {
                Value::Address(value) | Value::U64(value) => builder.arg(value),
                Value::U32(value) => builder.arg(value),
                Value::F32(value) => builder.arg(value),
            };
        }
        let config = LaunchConfig {
            grid_dim: (grid[0] as u32, grid[1] as u32, grid[2] as u32),
            block_dim: (threads as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: as the caller promises; the operations' tests run each launch through the emulator, which takes the same
        // list of values and faults on a number, type or bound that does not fit the kernel. Memory is freed in the order of
        // the stream, so what is lent here outlives the kernel.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }
}

/// Runs an expression with `$type` standing for the element type of a storage (f32 or bf16) and `$gpu` for its device.
macro_rules! on_gpu {
    ($storage:expr, |$type:ident, $gpu:ident| $body:expr) => {{
        use candle_core::backend::BackendStorage;
        let $gpu = $crate::model::cuda::Gpu::of($storage);
        match $storage.dtype() {
            candle_core::DType::F32 => {
                type $type = f32;
                $body
            }
            candle_core::DType::BF16 => {
                type $type = half::bf16;
                $body
            }
            other => candle_core::bail!("only f32 and bf16 are computed on a GPU, not {other:?}"),
        }
    }};
}
pub(crate) use on_gpu;
