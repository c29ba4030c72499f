// Runs the kernels on a CPU: c++ -std=c++17 -O1 -shared -fPIC -I tests/cuda -I src/lib/model/kernels -o emulator.so
// tests/cuda/emulator.cpp, then emulate("retention_scan pp...", grid, threads, arguments, falling) as cuLaunchKernel would be called.
#include "emulator.h"
#include <string>
#include <ucontext.h>
#include <unordered_map>
#include <functional>
#include <vector>

Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace {
enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    State state;
};
constexpr size_t STACK = 128 << 10;
std::vector<Fibre> fibres;
ucontext_t scheduler;
std::function<void()> body;
unsigned current;
float slots[64][32];

void start() {
    body();
    fibres[current].state = DONE;
    swapcontext(&fibres[current].context, &scheduler);
}

void give_way(State state) {
    unsigned own = current;
    fibres[own].state = state;
    swapcontext(&fibres[own].context, &scheduler);
}

// Lets those go on who have waited for all others of [first, last); false where somebody is still on the way.
bool release(State state, unsigned first, unsigned last) {
    bool any = false;
    for (unsigned i = first; i < last; i++) {
        if (fibres[i].state == state) any = true;
        else if (fibres[i].state != DONE) return false;
    }
    if (!any) return false;
    for (unsigned i = first; i < last; i++)
        if (fibres[i].state == state) fibres[i].state = READY;
    return true;
}

void run_block(unsigned threads, bool falling) {
    if (fibres.size() < threads) fibres.resize(threads);
    for (unsigned i = 0; i < threads; i++) {
        Fibre &fibre = fibres[i];
        fibre.stack.resize(STACK);
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.data();
        fibre.context.uc_stack.ss_size = STACK;
        fibre.context.uc_link = nullptr;
        makecontext(&fibre.context, start, 0);
        fibre.state = READY;
    }
    for (;;) {
        bool ran = false;
        for (unsigned i = 0; i < threads; i++) {
            current = falling ? threads - 1 - i : i;
            if (fibres[current].state != READY) continue;
            ran = true;
            threadIdx = {current, 0, 0};
            swapcontext(&scheduler, &fibres[current].context);
        }
        bool released = false;
        for (unsigned first = 0; first < threads; first += 32)
            released |= release(AT_WARP, first, min(first + 32, threads));
        released |= release(AT_BLOCK, 0, threads);
        if (!ran && !released) break;
    }
    for (unsigned i = 0; i < threads; i++)
        if (fibres[i].state != DONE) {
            fprintf(stderr, "block %u,%u,%u: thread %u waits for others that never come\n", blockIdx.x, blockIdx.y,
                    blockIdx.z, i);
            abort();
        }
}
}

void wait_for_block() { give_way(AT_BLOCK); }
void wait_for_warp() { give_way(AT_WARP); }
float *exchange_slots() { return slots[threadIdx.x / 32]; }

#include "retention.cu"
#include "normalisation.cu"
#include "elementwise.cu"
#include "rows.cu"
#include "convolution.cu"
#include "optimiser.cu"

namespace {
template <typename... A, size_t... I>
void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*(A *)arguments[I]...);
}
// The letter by which the caller knows a kind of parameter.
template <typename T> char kind(T *) { return 'p'; }
char kind(u32) { return 'u'; }
char kind(u64) { return 'l'; }
char kind(float) { return 'f'; }

struct Kernel {
    std::string parameters;
    std::function<void(void **)> run;
};
template <typename... A> Kernel kernel(void (*function)(A...)) {
    return {{kind(A())...}, [function](void **arguments) { call(function, arguments, std::index_sequence_for<A...>()); }};
}
#define ONE(NAME) {#NAME, kernel(NAME)}
#define BOTH(NAME) ONE(NAME##_f32), ONE(NAME##_bf16)
const std::unordered_map<std::string, Kernel> kernels = {
    BOTH(retention_states), ONE(retention_scan), BOTH(retention_output), BOTH(divide_rows),
    BOTH(rms_norm), BOTH(rms_norm_gradient), ONE(rms_factors_f32), ONE(rms_factors_bf16), BOTH(rms_norm_weight_gradient),
    BOTH(retention_gate), BOTH(retention_gate_gradient),
    BOTH(gelu_gate), BOTH(gelu_gate_gradient), ONE(rotation_table), BOTH(rotate), BOTH(add_bias), BOTH(relu_gradient),
    BOTH(dropout), BOTH(row_sum), BOTH(sum_slabs),
    BOTH(select_rows), BOTH(select_rows_gradient),
    BOTH(pair_convolution), BOTH(pair_weight_gradient), BOTH(map_convolution), BOTH(map_weight_gradient),
    BOTH(arrange_weights), BOTH(weight_gradient_sum),
    ONE(sum_of_squares), ONE(blend), ONE(adam_step),
};
}

// `call` is the name of a kernel, a space, and the kinds of the arguments. 0 where there is such a kernel.
extern "C" int emulate(const char *call, const unsigned *grid, unsigned threads, void **arguments, int falling) {
    const char *space = strchr(call, ' ');
    auto found = kernels.find(std::string(call, space - call));
    if (found == kernels.end() || found->second.parameters != space + 1) return 1;
    blockDim = {threads, 1, 1};
    gridDim = {grid[0], grid[1], grid[2]};
    body = [&] { found->second.run(arguments); };
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                run_block(threads, falling);
            }
    return 0;
}
