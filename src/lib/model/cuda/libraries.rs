//! CUDA's libraries, looked for when a GPU is asked for and not before: build.rs says how.

use std::sync::OnceLock;

/// The driver's library.
pub const DRIVER: &str = "libcuda.so.1";

/// What to do where [`DRIVER`] is missing.
pub const DRIVER_ADVICE: &str =
    "no NVIDIA driver is installed here (a login node?), or a container was started without its GPUs";

const MATH_ADVICE: &str = "install the CUDA runtime libraries and put their folder into LD_LIBRARY_PATH (docs/gpu.md)";

unsafe extern "C" {
    /// Loads what there is; a bit for each library, in the order of `LIBRARIES` in build.rs.
    fn rnaret_cuda_load() -> i32;
}

/// The first library that is needed and missing, with what to do about it.
pub fn missing() -> Option<(&'static str, &'static str)> {
    static FOUND: OnceLock<i32> = OnceLock::new();
    // SAFETY: the function takes nothing, is called once, and before any function that it provides.
    let found = *FOUND.get_or_init(|| unsafe { rnaret_cuda_load() });
    [(4, DRIVER, DRIVER_ADVICE), (1, "libcublas", MATH_ADVICE), (2, "libcurand", MATH_ADVICE)]
        .into_iter()
        .find(|(bit, ..)| found & 1 << bit == 0)
        .map(|(_, library, advice)| (library, advice))
}
