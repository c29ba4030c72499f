//! Where a model runs and in which precision: what the user asked for, or why it cannot be had.
//!
//! A named CUDA device is taken or refused, never replaced. `auto` takes the first CUDA device that works; where there is
//! none it takes the CPU, and says why once if this build could have used one.

use candle_core::{DType, Device, DeviceLocation};

use super::parameters::Parameters;
use crate::{Error, Result};

/// Where to compute, and how precisely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct DeviceArgs {
    /// Where to compute: `auto` takes a GPU if there is one; `cuda` never falls back
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "auto|cpu|cuda[:N]", default_value = "auto", help_heading = "Compute")
    )]
    pub device: DeviceChoice,

    /// Bits of the numbers: f32, or on a GPU bf16, which is faster and keeps about two significant digits. By default f32;
    /// training on a GPU takes bf16 with f32 weights
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Compute"))]
    pub precision: Option<Precision>,
}

impl DeviceArgs {
    /// The CPU in f32, as tests and benchmarks use it.
    pub const CPU: Self = Self { device: DeviceChoice::Cpu, precision: None };
}

/// The type of the numbers that a model computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Precision {
    /// 32 bits
    F32,
    /// 16 bits with the range of 32 (bfloat16); sums are in 32
    Bf16,
}

/// A device as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if there is one, otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number, or an error.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(DeviceChoice::Cuda).ok_or_else(|| "use auto, cpu, cuda or cuda:N".to_owned())
            }
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceChoice::Auto => write!(out, "auto"),
            DeviceChoice::Cpu => write!(out, "cpu"),
            DeviceChoice::Cuda(number) => write!(out, "cuda:{number}"),
        }
    }
}

/// What a model is loaded for, which decides the precision where the user does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Features and predictions.
    Inference,
    /// Gradients: on a GPU in 16 bits, with weights, sums and moments in 32.
    Training,
}

/// A device and the type of the numbers on it.
#[derive(Clone, Debug)]
pub struct Compute {
    /// Where tensors lie.
    pub device: Device,
    /// What the layers compute with.
    pub precision: DType,
}

impl Compute {
    /// The CPU in f32.
    pub const CPU: Self = Self { device: Device::Cpu, precision: DType::F32 };

    /// The CPU, for a model without code for a GPU.
    ///
    /// # Errors
    /// [`Error::Device`], where `asked` named a GPU.
    pub fn on_cpu(self, asked: DeviceArgs) -> Result<Self> {
        if self.device.is_cpu() {
            return Ok(self);
        }
        if let DeviceChoice::Cuda(_) = asked.device {
            let message = "this model is computed on the CPU alone: use --device cpu".into();
            return Err(Error::Device { device: asked.device.to_string(), message });
        }
        log::info!("computing on the CPU: there is no code of this model for a GPU");
        Ok(Self::CPU)
    }

    /// `parameters` on this device, in this precision.
    ///
    /// # Errors
    /// Where a tensor cannot be copied: memory that ran out.
    pub fn place(&self, parameters: &Parameters) -> Result<Parameters> {
        let place = |tensor: &candle_core::Tensor| tensor.to_device(&self.device)?.to_dtype(self.precision);
        parameters.iter().map(|(name, tensor)| Ok((name.clone(), place(tensor)?))).collect()
    }
}

/// What a device is called: `cpu` or `cuda:N`.
pub fn name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// The device and the precision that the user asked for.
///
/// # Errors
/// [`Error::Device`], where a CUDA device was named and cannot be had, or where the precision is none of the device's.
pub fn select(arguments: DeviceArgs, purpose: Purpose) -> Result<Compute> {
    select_with(arguments, purpose, open)
}

/// As [`select`], with a way of one's own to open the CUDA device of a number.
fn select_with(
    DeviceArgs { device: choice, precision }: DeviceArgs,
    purpose: Purpose,
    open: impl Fn(usize) -> std::result::Result<Device, Unavailable>,
) -> Result<Compute> {
    let refuse = |message: String| Err(Error::Device { device: choice.to_string(), message });
    let device = match choice {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Cuda(number) => match open(number) {
            Ok(device) => device,
            Err(unavailable) => return refuse(unavailable.to_string()),
        },
        DeviceChoice::Auto => match open(0) {
            Ok(device) => device,
            Err(Unavailable::NotBuilt) => Device::Cpu,
            Err(unavailable) => {
                log::info!("computing on the CPU: {unavailable}");
                Device::Cpu
            }
        },
    };
    let precision = match (precision, device.is_cpu(), purpose) {
        (Some(Precision::Bf16), true, _) => {
            return refuse("bf16 is computed on a GPU alone; use --precision f32".into());
        }
        (None, false, Purpose::Training) | (Some(Precision::Bf16), ..) => DType::BF16,
        (None, ..) | (Some(Precision::F32), ..) => DType::F32,
    };
    log::debug!("computing on {:?} in {precision:?}", device.location());
    Ok(Compute { device, precision })
}

/// Why a CUDA device cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
// Which of them occur depends on the feature.
#[allow(dead_code)]
enum Unavailable {
    /// This program knows no CUDA.
    #[error(
        "this program was built for the CPU alone; docs/gpu.md says how to build it with CUDA (--features cuda), or use \
         --device cpu"
    )]
    NotBuilt,
    /// A shared library is not there.
    #[error("{library} is not found: {advice}")]
    NoLibrary { library: &'static str, advice: &'static str },
    /// The driver finds no device.
    #[error("the driver finds no CUDA device")]
    NoDevice,
    /// There are fewer devices.
    #[error("there are {count} CUDA devices here, numbered from 0")]
    NoSuchDevice { count: usize },
    /// A device for which there are no kernels.
    #[error("{name} has compute capability {major}.{minor}; the kernels need {needed} or higher")]
    Architecture { name: String, major: i32, minor: i32, needed: &'static str },
    /// A driver older than the compiler of the kernels.
    #[error("the driver is for CUDA {found}; the kernels were compiled for {needed}: a newer driver is needed")]
    Driver { found: String, needed: &'static str },
    /// Memory that others have taken.
    #[error("its memory is used up: {free} of {total} MB are free; another device may have more, see nvidia-smi")]
    Memory { free: usize, total: usize },
    /// Anything else, in the driver's words.
    #[error("{0}")]
    Other(String),
}

#[cfg(not(feature = "cuda"))]
fn open(_number: usize) -> std::result::Result<Device, Unavailable> {
    Err(Unavailable::NotBuilt)
}

#[cfg(feature = "cuda")]
use cuda::open;

#[cfg(feature = "cuda")]
mod cuda {
    use candle_core::Device;
    use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, result, sys};

    use super::Unavailable;
    use crate::model::cuda::{KERNELS, libraries};

    /// What the kernels are compiled for: `nvcc -arch=compute_80` in build.rs.
    const NEEDED: (i32, i32) = (8, 0);

    /// Least free memory to start with, in MB: the context, the kernels, a small model and a small batch.
    const LEAST_FREE: usize = 512;

    impl From<DriverError> for Unavailable {
        fn from(error: DriverError) -> Self {
            use sys::CUresult as Code;
            match error.0 {
                Code::CUDA_ERROR_NO_DEVICE => Unavailable::NoDevice,
                Code::CUDA_ERROR_STUB_LIBRARY => {
                    Unavailable::NoLibrary { library: libraries::DRIVER, advice: libraries::DRIVER_ADVICE }
                }
                Code::CUDA_ERROR_OUT_OF_MEMORY => Unavailable::Memory { free: 0, total: 0 },
                Code::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
                | Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
                | Code::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE => {
                    Unavailable::Driver { found: driver_version(), needed: env!("RNARET_CUDA_VERSION") }
                }
                Code::CUDA_ERROR_NO_BINARY_FOR_GPU | Code::CUDA_ERROR_INVALID_PTX => Unavailable::Other(format!(
                    "the kernels do not load: {error:?}; they were compiled with CUDA {} and the driver is for {}",
                    env!("RNARET_CUDA_VERSION"),
                    driver_version()
                )),
                _ => Unavailable::Other(format!("the driver says {error}")),
            }
        }
    }

    /// The CUDA version that the driver supports, as in `13.0`.
    fn driver_version() -> String {
        let mut version = 0;
        // SAFETY: the function writes one number to the address that it is given.
        let status = unsafe { sys::cuDriverGetVersion(&mut version) };
        match status {
            sys::CUresult::CUDA_SUCCESS => format!("{}.{}", version / 1000, version % 1000 / 10),
            _ => "an unknown version".into(),
        }
    }

    pub(super) fn open(number: usize) -> Result<Device, Unavailable> {
        if let Some((library, advice)) = libraries::missing() {
            return Err(Unavailable::NoLibrary { library, advice });
        }
        result::init()?;
        let count = result::device::get_count()? as usize;
        if count == 0 {
            return Err(Unavailable::NoDevice);
        }
        if number >= count {
            return Err(Unavailable::NoSuchDevice { count });
        }
        let context = CudaContext::new(number)?;
        let (major, minor) = context.compute_capability()?;
        let name = context.name()?;
        if (major, minor) < NEEDED {
            return Err(Unavailable::Architecture { name, major, minor, needed: "8.0" });
        }
        // Whether this driver compiles our kernels: one small file of them tells, the others follow when they are needed.
        if let Some((_, text)) = KERNELS.iter().min_by_key(|(_, text)| text.len()) {
            context.load_module((*text).into())?;
        }
        let (free, total) = context.mem_get_info().map(|(free, total)| (free >> 20, total >> 20))?;
        if free < LEAST_FREE {
            return Err(Unavailable::Memory { free, total });
        }
        keep_freed_memory(&context)?;
        // One stream for all threads: what one of them writes is there for the next, in the order of the calls. (candle's
        // default, a stream per thread, does not promise that.)
        let device = Device::new_cuda_with_stream(number).map_err(|error| Unavailable::Other(error.to_string()))?;
        if let Device::Cuda(device) = &device {
            // SAFETY: all work goes through this one stream, so that no event has to order a use and the release of
            // memory on different streams.
            unsafe { device.disable_event_tracking() };
        }
        log::debug!("{name}, compute capability {major}.{minor}, {free} of {total} MB free");
        Ok(device)
    }

    /// Lets the driver keep memory that tensors gave back, instead of returning it at every synchronisation.
    fn keep_freed_memory(context: &CudaContext) -> Result<(), Unavailable> {
        context.bind_to_thread()?;
        let mut pool = std::ptr::null_mut();
        let mut threshold = u64::MAX;
        // SAFETY: both functions get addresses of what they write or read, of the types that this attribute has; the
        // context of the device is alive.
        let status = unsafe {
            let status = sys::cuDeviceGetDefaultMemPool(&mut pool, context.cu_device());
            match status {
                sys::CUresult::CUDA_SUCCESS => sys::cuMemPoolSetAttribute(
                    pool,
                    sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
                    std::ptr::from_mut(&mut threshold).cast(),
                ),
                other => other,
            }
        };
        if status != sys::CUresult::CUDA_SUCCESS {
            // Slower, and no more than that: a device without memory pools.
            log::debug!("the device keeps no pool of memory: {status:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(device: &str, precision: Option<Precision>) -> DeviceArgs {
        DeviceArgs { device: device.parse().unwrap(), precision }
    }

    fn message(arguments: DeviceArgs, why: Unavailable) -> String {
        let error = select_with(arguments, Purpose::Inference, |_| Err(why.clone())).expect_err("no such device");
        assert!(matches!(error, Error::Device { .. }));
        error.to_string()
    }

    #[test]
    fn devices_are_named_as_in_the_help() {
        for (text, device) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_named_device_is_refused_with_the_reason() {
        let asked = arguments("cuda:2", None);
        let library = Unavailable::NoLibrary { library: "libcuda.so.1", advice: "install the driver" };
        for (why, words) in [
            (Unavailable::NotBuilt, ["built for the CPU alone", "docs/gpu.md"]),
            (library, ["libcuda.so.1 is not found", "install the driver"]),
            (Unavailable::NoDevice, ["cuda:2", "no CUDA device"]),
            (Unavailable::NoSuchDevice { count: 2 }, ["2 CUDA devices", "from 0"]),
            (
                Unavailable::Architecture { name: "Tesla T4".into(), major: 7, minor: 5, needed: "8.0" },
                ["Tesla T4 has compute capability 7.5", "need 8.0"],
            ),
            (Unavailable::Driver { found: "12.2".into(), needed: "13.0" }, ["for CUDA 12.2", "newer driver"]),
            (Unavailable::Memory { free: 100, total: 40_000 }, ["100 of 40000 MB", "nvidia-smi"]),
        ] {
            let message = message(asked, why);
            words.iter().for_each(|word| assert!(message.contains(word), "{message}"));
        }
    }

    #[test]
    fn auto_falls_back_to_the_cpu_and_cpu_asks_for_no_gpu() {
        let none = |_| Err(Unavailable::NoDevice);
        let compute = select_with(arguments("auto", None), Purpose::Training, none).expect("the CPU");
        assert!(compute.device.is_cpu());
        assert_eq!(compute.precision, DType::F32);
        let compute = select_with(arguments("cpu", None), Purpose::Training, |_| panic!("nobody asked")).expect("CPU");
        assert!(compute.device.is_cpu());
    }

    #[test]
    fn bf16_is_refused_on_the_cpu() {
        for device in ["cpu", "auto"] {
            let message = message(arguments(device, Some(Precision::Bf16)), Unavailable::NotBuilt);
            assert!(message.contains("bf16") && message.contains("--precision f32"), "{message}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn this_build_has_no_cuda() {
        let error = select(arguments("cuda", None), Purpose::Inference).expect_err("no CUDA");
        assert!(error.to_string().contains("--features cuda"), "{error}");
        assert!(select(arguments("auto", None), Purpose::Inference).expect("the CPU").device.is_cpu());
    }
}
