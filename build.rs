//! For the feature `cuda` alone: compiles the kernels to PTX, and makes a program that starts where there is no CUDA.
//!
//! candle and cudarc call CUDA's libraries as if they were linked, and a program linked against them does not start on a
//! machine without them. So every CUDA function that they name (`src/lib/model/cuda/symbols.txt`) becomes a jump through
//! a table that `rnaret_cuda_load` fills from the libraries that are there. The list follows the pinned versions of both
//! crates: a function that is missing from it is an error of the linker, and docs/gpu.md says how to make it anew.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest GPUs that the kernels run on; newer ones compile the same PTX for themselves.
const ARCHITECTURE: &str = "compute_80";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in ["CUDA_HOME", "CUDA_PATH", "NVCC"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let home = env::var("CUDA_HOME").or_else(|_| env::var("CUDA_PATH")).ok().map(PathBuf::from);
    let nvcc = match (env::var("NVCC"), &home) {
        (Ok(nvcc), _) => PathBuf::from(nvcc),
        (_, Some(home)) => home.join("bin/nvcc"),
        _ => PathBuf::from("nvcc"),
    };
    let version = version(&nvcc);
    println!("cargo:rustc-env=RNARET_CUDA_VERSION={version}");
    compile_kernels(&nvcc, &out);
    stand_in_for_libraries(version.split('.').next().unwrap_or_default(), &out);
    link_static_runtime(&nvcc, home.as_deref(), &out);
    println!("cargo:rustc-link-search=native={}", out.display());
}

/// The CUDA version of the compiler, as in `13.0`.
fn version(nvcc: &Path) -> String {
    let output = Command::new(nvcc).arg("--version").output().unwrap_or_else(|error| {
        panic!("{} does not start ({error}): set CUDA_HOME to a CUDA toolkit, see docs/gpu.md", nvcc.display())
    });
    let text = String::from_utf8_lossy(&output.stdout);
    let after = text.split("release ").nth(1).and_then(|rest| rest.split(',').next());
    after.unwrap_or_else(|| panic!("{} --version names no release: {text}", nvcc.display())).trim().to_owned()
}

fn compile_kernels(nvcc: &Path, out: &Path) {
    let folder = Path::new("src/lib/model/kernels");
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("the folder of the kernels") {
        let source = entry.expect("an entry of it").path();
        if source.extension().is_none_or(|extension| extension != "cu") {
            continue;
        }
        let ptx = out.join(source.file_stem().expect("a name")).with_extension("ptx");
        let status = Command::new(nvcc)
            .args(["-ptx", "-O3", "-std=c++17", &format!("-arch={ARCHITECTURE}")])
            .arg(&source)
            .arg("-o")
            .arg(&ptx)
            .status()
            .expect("nvcc starts");
        assert!(status.success(), "nvcc does not compile {}", source.display());
    }
}

/// The library of a function, and the names under which it is looked for.
const LIBRARIES: [(&str, &str, &str); 5] = [
    // The longer of two beginnings first.
    ("cublasLt", "libcublasLt.so.{major}", "libcublasLt.so"),
    ("cublas", "libcublas.so.{major}", "libcublas.so"),
    ("curand", "libcurand.so.10", "libcurand.so"),
    ("nvrtc", "libnvrtc.so.{major}", "libnvrtc.so"),
    ("cu", "libcuda.so.1", "libcuda.so"),
];

/// Compiles the jumps and their loader. `rnaret_cuda_load` returns a bit for each library that is there, in the order of
/// [`LIBRARIES`].
fn stand_in_for_libraries(major: &str, out: &Path) {
    let list = "src/lib/model/cuda/symbols.txt";
    println!("cargo:rerun-if-changed={list}");
    let text = fs::read_to_string(list).expect("the list of CUDA functions");
    let mut by_library = vec![Vec::new(); LIBRARIES.len()];
    for name in text.lines().filter(|line| !line.is_empty()) {
        let library = LIBRARIES.iter().position(|(beginning, ..)| name.starts_with(beginning));
        by_library[library.unwrap_or_else(|| panic!("{name} belongs to no library"))].push(name);
    }
    let (mut jumps, mut tables, mut first) = (String::new(), String::new(), 0);
    for (names, (beginning, versioned, plain)) in by_library.iter().zip(LIBRARIES) {
        let versioned = versioned.replace("{major}", major);
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        for (place, name) in names.iter().enumerate() {
            let offset = 8 * (first + place);
            let _ = writeln!(
                jumps,
                ".globl {name}\n.type {name},@function\n{name}: jmp *rnaret_cuda_table+{offset}(%rip)\n.size {name},.-{name}"
            );
        }
        let _ = writeln!(tables, "static const char *const {beginning}_names[] = {{{}}};", quoted.join(", "));
        let _ = writeln!(
            tables,
            "static const struct library {beginning}_library = {{\"{versioned}\", \"{plain}\", {beginning}_names, {}, {first}}};",
            names.len()
        );
        first += names.len();
    }
    let all: Vec<String> = LIBRARIES.iter().map(|(beginning, ..)| format!("&{beginning}_library")).collect();
    let loader = format!(
        "#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
__attribute__((visibility(\"hidden\"))) void *rnaret_cuda_table[{first}];
struct library {{ const char *versioned, *plain, *const *names; int count, first; }};
{tables}static const struct library *const libraries[] = {{{}}};
static void missing(void) {{
    fputs(\"a CUDA function was called that the libraries here do not have\\n\", stderr);
    abort();
}}
__attribute__((constructor)) static void start(void) {{
    for (int i = 0; i < {first}; i++) rnaret_cuda_table[i] = (void *)missing;
}}
int rnaret_cuda_load(void) {{
    int found = 0;
    for (int i = 0; i < {}; i++) {{
        void *handle = dlopen(libraries[i]->versioned, RTLD_NOW | RTLD_GLOBAL);
        if (!handle) handle = dlopen(libraries[i]->plain, RTLD_NOW | RTLD_GLOBAL);
        if (!handle) continue;
        found |= 1 << i;
        for (int k = 0; k < libraries[i]->count; k++) {{
            void *function = dlsym(handle, libraries[i]->names[k]);
            if (function) rnaret_cuda_table[libraries[i]->first + k] = function;
        }}
    }}
    return found;
}}
",
        all.join(", "),
        LIBRARIES.len()
    );
    // The jumps stand in the loader's own object, so that whoever needs the one gets the others.
    let mut source = loader;
    let _ = writeln!(source, "__asm__(\".text\\n\"");
    jumps.lines().for_each(|line| {
        let _ = writeln!(source, "\"{line}\\n\"");
    });
    source.push_str(");\n");
    let file = out.join("cuda_jumps.c");
    fs::write(&file, source).expect("the jumps are written");
    cc::Build::new().file(&file).opt_level(1).compile("rnaret_cuda");
    // What the crates ask the linker for; the functions are all defined above.
    for name in ["cuda", "cublas", "cublasLt", "curand", "nvrtc"] {
        fs::write(out.join(format!("lib{name}.a")), "!<arch>\n").expect("an empty archive is written");
    }
}

/// candle's kernels ask for `-lcudart`: the static one, under that name, needs nothing at run time.
fn link_static_runtime(nvcc: &Path, home: Option<&Path>, out: &Path) {
    let beside = nvcc.parent().and_then(Path::parent);
    let found = [home, beside, Some(Path::new("/usr/local/cuda"))]
        .into_iter()
        .flatten()
        .flat_map(|home| ["lib64", "lib", "targets/x86_64-linux/lib"].map(|folder| home.join(folder)))
        .map(|folder| folder.join("libcudart_static.a"))
        .find(|path| path.exists());
    let Some(found) = found else { panic!("libcudart_static.a is not found: set CUDA_HOME to a CUDA toolkit") };
    let link = out.join("libcudart.a");
    let _ = fs::remove_file(&link);
    fs::copy(&found, &link).unwrap_or_else(|error| panic!("{} is not copied: {error}", found.display()));
}
