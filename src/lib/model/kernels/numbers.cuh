// Number types and reductions that all kernels share. Storage is float or bfloat16; all arithmetic is float.
//
// The kernels use nothing but thread and block indices, shared memory, __syncthreads, __shfl_xor_sync and, for bfloat16,
// 16 x 16 matrix fragments. tests/cuda/emulator.h gives all of that to an ordinary C++ compiler, so that the very same
// sources run on a CPU and are compared with the CPU code of the program.
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <mma.h>
typedef __nv_bfloat16 bfloat16;
#else
#include "emulator.h"
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

__device__ inline float read(float x) { return x; }
__device__ inline float read(bfloat16 x) { return __bfloat162float(x); }

template <typename T> __device__ inline T as(float x);
template <> __device__ inline float as<float>(float x) { return x; }
template <> __device__ inline bfloat16 as<bfloat16>(float x) { return __float2bfloat16(x); }

// The sum over the lanes of a warp, on every lane; the order of the additions is fixed.
__device__ inline float warp_sum(float x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// A kernel under two names, one for each type of storage.
#define FOR_BOTH_TYPES(NAME, PARAMETERS, ARGUMENTS)                                                                       \
    extern "C" __global__ void NAME##_f32 PARAMETERS(float) { NAME<float> ARGUMENTS; }                                    \
    extern "C" __global__ void NAME##_bf16 PARAMETERS(bfloat16) { NAME<bfloat16> ARGUMENTS; }
