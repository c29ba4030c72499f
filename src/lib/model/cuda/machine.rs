//! What an operation needs of a machine that runs kernels.
//!
//! No compiler checks a kernel's parameters against what it is given, so all this is the library's own: nobody else can
//! launch anything. Each launch of each operation runs in the tests on an emulator, which faults on a number, type or
//! bound that does not fit the kernel.

use std::marker::PhantomData;

use candle_core::Result;

/// What storage on a device asks of a type.
#[cfg(feature = "cuda")]
pub trait OnDevice: candle_core::cuda_backend::CudaDType + cudarc::driver::DeviceRepr {}
#[cfg(feature = "cuda")]
impl<T: candle_core::cuda_backend::CudaDType + cudarc::driver::DeviceRepr> OnDevice for T {}

/// What storage on a device asks of a type: nothing where there is none.
#[cfg(not(feature = "cuda"))]
pub trait OnDevice {}
#[cfg(not(feature = "cuda"))]
impl<T> OnDevice for T {}

/// A type that kernels read and write.
pub trait Number: OnDevice + Copy + Send + Sync + 'static {
    /// What the names of kernels for this type end with.
    const NAME: &'static str;
}

impl Number for f32 {
    const NAME: &'static str = "f32";
}

impl Number for half::bf16 {
    const NAME: &'static str = "bf16";
}

impl Number for u32 {
    const NAME: &'static str = "u32";
}

impl Number for f64 {
    const NAME: &'static str = "f64";
}

/// A parameter of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Memory of the machine.
    Address(u64),
    /// A number of 32 bits.
    U32(u32),
    /// A number of 64 bits.
    U64(u64),
    /// A number of 32 bits.
    F32(f32),
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::U32(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::U64(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Value::F32(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::U32(value.into())
    }
}

/// Contiguous numbers in the memory of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a, T> {
    address: u64,
    count: usize,
    lent: PhantomData<&'a T>,
}

impl<T: Copy> Input<'_, T> {
    /// `count` numbers at `address`.
    ///
    /// # Safety
    /// For as long as `'a` the memory of the machine that this is given to holds `count` numbers of type `T` from
    /// `address` on.
    pub unsafe fn new(address: u64, count: usize) -> Self {
        Self { address, count, lent: PhantomData }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number at `place` alone.
    pub fn at(&self, place: usize) -> Self {
        assert!(place < self.count, "number {place} of {}", self.count);
        Self { address: self.address + (place * size_of::<T>()) as u64, count: 1, ..*self }
    }
}

impl<T> From<Input<'_, T>> for Value {
    fn from(input: Input<'_, T>) -> Self {
        Value::Address(input.address)
    }
}

/// What runs kernels.
pub trait Machine {
    /// Numbers in its memory.
    type Memory<T: Number>;

    /// Memory for `count` numbers of any value.
    ///
    /// # Errors
    /// Where there is no more memory.
    fn allocate<T: Number>(&self, count: usize) -> Result<Self::Memory<T>>;

    /// Numbers copied into its memory.
    ///
    /// # Errors
    /// As [`Machine::allocate`].
    fn upload<T: Number>(&self, numbers: &[T]) -> Result<Self::Memory<T>>;

    /// What is in memory, as a parameter of a kernel.
    fn lend<'a, T: Number>(&self, memory: &'a Self::Memory<T>) -> Input<'a, T>;

    /// Runs the kernel `name` of `file` with so many blocks of so many threads.
    ///
    /// # Safety
    /// `values` are the kernel's parameters in number, order and type. Every address is that of memory lent by this
    /// machine which is alive until the kernel is enqueued, and the counts and widths among the values keep every thread
    /// of the grid within it. What the kernel writes is borrowed by nobody.
    ///
    /// # Errors
    /// Where it cannot be started.
    unsafe fn launch(&self, file: &str, name: &str, grid: [usize; 3], threads: usize, values: &[Value]) -> Result<()>;
}

/// The name of a kernel for numbers of this type.
pub fn name_of<T: Number>(kernel: &str) -> String {
    format!("{kernel}_{}", T::NAME)
}

/// How many blocks of `size` it takes to cover `count`.
pub fn blocks(count: usize, size: usize) -> usize {
    count.div_ceil(size).max(1)
}
