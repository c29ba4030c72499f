//! Kernels on the CPU, for tests: `tests/cuda/emulator.cpp` compiled by the C++ compiler that is there.
//!
//! Memory ends at a page that must not be touched, so that a kernel that goes beyond its arrays ends the test; what is
//! allocated and not written is NaN.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use candle_core::Result;

use super::machine::{Input, Machine, Number, Value};

type Emulate = unsafe extern "C" fn(*const c_char, *const c_uint, c_uint, *mut *mut c_void, c_int) -> c_int;

/// The compiled kernels. One at a time runs: the emulator has one set of threads.
static EMULATE: OnceLock<std::result::Result<Mutex<Emulate>, String>> = OnceLock::new();

/// A CPU that runs kernels.
pub struct Emulator {
    /// Whether the threads of a block run in falling order.
    falling: bool,
}

/// Calls `check` with the threads in rising and in falling order; says why where there is no emulator.
pub fn emulated(check: impl Fn(&Emulator)) {
    emulated_in_orders(&[false, true], check);
}

/// As [`emulated`], with the threads in falling order where `falling`, otherwise in rising order, one after the other.
pub fn emulated_in_orders(falling: &[bool], check: impl Fn(&Emulator)) {
    match EMULATE.get_or_init(compile) {
        Ok(_) => falling.iter().for_each(|falling| check(&Emulator { falling: *falling })),
        // Past the test's own output, which nobody sees where it passes.
        Err(reason) => {
            let line = format!("skipped, the kernels are not run: {reason}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        }
    }
}

fn compile() -> std::result::Result<Mutex<Emulate>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let library = folder.path().join("emulator.so");
    let compiler = std::env::var("CXX").unwrap_or("c++".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(&compiler)
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-Wno-unknown-pragmas", "-I"])
        .arg(root.join("tests/cuda"))
        .arg("-I")
        .arg(root.join("src/lib/model/kernels"))
        .arg(root.join("tests/cuda/emulator.cpp"))
        .arg("-o")
        .arg(&library)
        .output()
        .map_err(|error| format!("there is no C++ compiler {compiler} ({error})"))?;
    assert!(output.status.success(), "the kernels do not compile: {}", String::from_utf8_lossy(&output.stderr));
    let path = CString::new(library.into_os_string().into_encoded_bytes()).expect("a path without zeros");
    // SAFETY: the library was just made from our source, has no initialisers that matter, and is never closed.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "the emulator does not load");
    // SAFETY: the handle is valid, and the name ends with a zero.
    let symbol = unsafe { libc::dlsym(handle, c"emulate".as_ptr()) };
    assert!(!symbol.is_null(), "the emulator has no function emulate");
    // SAFETY: emulator.cpp defines `emulate` with just this signature.
    Ok(Mutex::new(unsafe { std::mem::transmute::<*mut c_void, Emulate>(symbol) }))
}

/// Numbers at the end of pages of their own.
pub struct Guarded<T> {
    pages: *mut c_void,
    bytes: usize,
    first: *mut T,
    count: usize,
}

const PAGE: usize = 4096;

impl<T: Number> Guarded<T> {
    fn new(count: usize) -> Self {
        let size = count * size_of::<T>();
        // Fragments and vectors want 32 bytes, so the end may be up to 31 bytes before the guard.
        let held = size.next_multiple_of(32).next_multiple_of(PAGE).max(PAGE);
        let bytes = held + PAGE;
        // SAFETY: a fresh anonymous mapping; the guard is the last page of it.
        let pages = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let pages = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert!(pages != libc::MAP_FAILED, "no memory");
            std::ptr::write_bytes(pages.cast::<u8>(), 0xff, held);
            assert_eq!(libc::mprotect(pages.cast::<u8>().add(held).cast(), PAGE, libc::PROT_NONE), 0);
            pages
        };
        // SAFETY: within the mapping, and aligned since the size is a multiple of 32.
        let first = unsafe { pages.cast::<u8>().add(held - size.next_multiple_of(32)).cast() };
        Self { pages, bytes, first, count }
    }

    /// What is in memory.
    pub fn numbers(&self) -> &[T] {
        // SAFETY: `count` numbers from `first` lie in the mapping, which lives as long as `self`; every pattern of bits
        // is a number of these types.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing points into it any more.
        unsafe { libc::munmap(self.pages, self.bytes) };
    }
}

impl Machine for Emulator {
    type Memory<T: Number> = Guarded<T>;

    fn allocate<T: Number>(&self, count: usize) -> Result<Guarded<T>> {
        Ok(Guarded::new(count))
    }

    fn upload<T: Number>(&self, numbers: &[T]) -> Result<Guarded<T>> {
        let memory = Guarded::new(numbers.len());
        // SAFETY: the memory holds as many numbers and is not borrowed yet.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), memory.first, numbers.len()) };
        Ok(memory)
    }

    fn lend<'a, T: Number>(&self, memory: &'a Guarded<T>) -> Input<'a, T> {
        // SAFETY: these are the numbers of a mapping that is borrowed for as long.
        unsafe { Input::new(memory.first as u64, memory.count) }
    }

    unsafe fn launch(&self, file: &str, name: &str, grid: [usize; 3], threads: usize, values: &[Value]) -> Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/lib/model/kernels/{file}.cu"));
        let text = std::fs::read_to_string(source).expect("the file of the kernel");
        let kernel = name.trim_end_matches("_f32").trim_end_matches("_bf16");
        assert!(text.contains(kernel), "{file}.cu has no kernel {kernel}");
        // The limits of a launch on every GPU that we build for.
        assert!(grid[0] < 1 << 31 && grid[1] < 1 << 16 && grid[2] < 1 << 16 && threads <= 1024, "{name}: {grid:?}");
        assert!(grid.iter().all(|blocks| *blocks > 0), "{name}: {grid:?}");
        let Some(Ok(emulate)) = EMULATE.get() else { panic!("the emulator is not there") };
        let emulate = emulate.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut bits: Vec<u64> = values
            .iter()
            .map(|value| match value {
                Value::Address(value) | Value::U64(value) => *value,
                Value::U32(value) => u64::from(*value),
                Value::F32(value) => u64::from(value.to_bits()),
            })
            .collect();
        let mut pointers: Vec<*mut c_void> = bits.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let kinds: String = values.iter().map(|value| kind(*value)).collect();
        let grid = grid.map(|blocks| blocks as c_uint);
        let name = CString::new(format!("{name} {kinds}")).expect("a name");
        // SAFETY: the emulator compares the kinds of the values with the kernel's parameters before it reads them, and
        // the kernel touches only memory that was lent; beyond it are guard pages.
        let status = unsafe {
            emulate(name.as_ptr(), grid.as_ptr(), threads as c_uint, pointers.as_mut_ptr(), self.falling.into())
        };
        assert_eq!(status, 0, "{name:?} is no kernel with such parameters");
        Ok(())
    }
}

/// The letter by which the emulator knows the kind of a value.
fn kind(value: Value) -> char {
    match value {
        Value::Address(_) => 'p',
        Value::U32(_) => 'u',
        Value::U64(_) => 'l',
        Value::F32(_) => 'f',
    }
}
