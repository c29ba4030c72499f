// What the kernels in src/lib/model/kernels need of CUDA, for an ordinary C++ compiler: every thread of a block is a
// fibre, and a fibre gives way to the others where CUDA threads would wait for each other.
//
// Blocks run one after the other. A block whose threads do not all come to the same barrier, or a warp whose lanes do not
// all exchange their numbers, ends the program. Fibres run in rising or in falling order (`falling`), so that a barrier
// that is missing changes the result in one of the two.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#define __global__
#define __device__
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__

struct Index3 { unsigned x, y, z; };
extern Index3 threadIdx, blockIdx, blockDim, gridDim;

void wait_for_block();
void wait_for_warp();
float *exchange_slots();
inline void __syncthreads() { wait_for_block(); }

inline float __shfl_xor_sync(unsigned, float x, int mask) {
    float *slots = exchange_slots();
    slots[threadIdx.x % 32] = x;
    wait_for_warp();
    float result = slots[threadIdx.x % 32 ^ mask];
    wait_for_warp();
    return result;
}

inline double __shfl_xor_sync(unsigned, double x, int mask) {
    double result;
    float halves[2];
    memcpy(halves, &x, 8);
    halves[0] = __shfl_xor_sync(0, halves[0], mask);
    halves[1] = __shfl_xor_sync(0, halves[1], mask);
    memcpy(&result, halves, 8);
    return result;
}

template <typename T> T min(T a, T b) { return b < a ? b : a; }
template <typename T> T max(T a, T b) { return a < b ? b : a; }

struct bfloat16 { uint16_t bits; };

inline float __bfloat162float(bfloat16 x) {
    uint32_t bits = (uint32_t)x.bits << 16;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}

// To the nearest, ties to even, as the hardware does.
inline bfloat16 __float2bfloat16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (x != x) return {0x7fff};
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// The first lane of a warp holds the whole matrix, of which each lane holds a part on a GPU; the others hold nothing.
namespace nvcuda { namespace wmma {
struct matrix_a; struct matrix_b; struct accumulator; struct row_major;
enum layout_t { mem_row_major };
template <typename Use, int M, int N, int K, typename T, typename Layout = void> struct fragment { float x[16][16]; };

template <typename F> void fill_fragment(F &f, float value) {
    if (threadIdx.x % 32) return;
    for (auto &row : f.x) for (float &x : row) x = value;
}
inline void check(const void *pointer, unsigned stride, unsigned size) {
    if ((uintptr_t)pointer % 32 || stride * size % 16) {
        fprintf(stderr, "a fragment that is not aligned\n");
        abort();
    }
}
template <typename Use, typename Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, bfloat16, Layout> &f, const bfloat16 *source, unsigned stride) {
    check(source, stride, 2);
    if (threadIdx.x % 32) return;
    for (int i = 0; i < 16; i++) for (int j = 0; j < 16; j++) f.x[i][j] = __bfloat162float(source[i * stride + j]);
}
template <typename A, typename B, typename C> void mma_sync(C &out, const A &a, const B &b, const C &c) {
    if (threadIdx.x % 32) return;
    C result = c;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 16; j++) result.x[i][j] += a.x[i][k] * b.x[k][j];
    out = result;
}
template <typename F> void store_matrix_sync(float *target, const F &f, unsigned stride, layout_t) {
    check(target, stride, 4);
    if (threadIdx.x % 32) return;
    for (int i = 0; i < 16; i++) for (int j = 0; j < 16; j++) target[i * stride + j] = f.x[i][j];
}
}}
