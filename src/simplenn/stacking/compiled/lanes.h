// Numbers of several runs side by side, and what is computed with them: the ground of a compiled epoch.
//
// A `Float` has one number of each of LANES runs, a `Double` the same in double precision, a `Mask` which of the runs
// have a property. Formulas are those of torch's own kernels where these are known; sums are added up in another order.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Float __attribute__((vector_size(LANES * 4)));
typedef double Double __attribute__((vector_size(LANES * 8)));
typedef int32_t Mask __attribute__((vector_size(LANES * 4)));
typedef int64_t WideMask __attribute__((vector_size(LANES * 8)));

#define INLINE static inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

INLINE Float f(float x) { return x - Float{}; }
INLINE Double d(double x) { return x - Double{}; }
INLINE Mask mask(bool x) { return (x ? -1 : 0) - Mask{}; }
INLINE Mask mask(Mask x) { return x; }
INLINE Mask mask(WideMask x) { return __builtin_convertvector(x, Mask); }
INLINE Float to_float(Float x) { return x; }
INLINE Float to_float(Double x) { return __builtin_convertvector(x, Float); }
INLINE Float to_float(Mask x) { return x ? f(1) : f(0); }
INLINE Double to_double(Double x) { return x; }
INLINE Double to_double(Float x) { return __builtin_convertvector(x, Double); }
INLINE Double to_double(Mask x) { return __builtin_convertvector(x, WideMask) ? d(1) : d(0); }
INLINE Float choose(Mask m, Float a, Float b) { return m ? a : b; }
INLINE Double choose(Mask m, Double a, Double b) { return __builtin_convertvector(m, WideMask) ? a : b; }

template <class T> INLINE T signs(T x) { return x > 0 ? 1 - T{} : x < 0 ? -1 - T{} : T{}; }
// Of either precision. As in torch, NaN goes through.
template <class T> INLINE T squared(T x) { return x * x; }
template <class T> INLINE T cubed(T x) { return x * x * x; }
template <class T> INLINE T larger(T x, T y) { return (x != x) ? x : (x < y || y != y) ? y : x; }
template <class T> INLINE T smaller(T x, T y) { return (x != x) ? x : (x > y || y != y) ? y : x; }

#define EACH(name, of_float, of_double)                                    \
  INLINE Float name(Float x) {                                             \
    Float y;                                                               \
    for (int lane = 0; lane < LANES; ++lane) y[lane] = of_float(x[lane]);  \
    return y;                                                              \
  }                                                                        \
  INLINE Double name(Double x) {                                           \
    Double y;                                                              \
    for (int lane = 0; lane < LANES; ++lane) y[lane] = of_double(x[lane]); \
    return y;                                                              \
  }
EACH(absolute, __builtin_fabsf, __builtin_fabs)

// Of `num` vectors at a time. Where torch computes these functions by Intel's MKL, it is MKL here, too: its results are
// not rounded as the C library's are. The mode is that of aten/src/ATen/cpu/vml.h: high accuracy, denormal numbers kept.
#ifdef MKL
// MKL would share an array of some hundred numbers among all cores. Each of them has runs of its own to train.
extern "C" int MKL_Set_Num_Threads_Local(int);
struct OneThread {
  const int before = MKL_Set_Num_Threads_Local(1);
  ~OneThread() { MKL_Set_Num_Threads_Local(before); }
};
#define IN_ARRAYS(name, mkl, of_float, of_double)                                                  \
  extern "C" void VMS##mkl##_(const int* num, const float* from, float* to, const int64_t* mode);  \
  INLINE void name(Float* to, const Float* from, int num) {                                        \
    const int numbers = num * LANES;                                                               \
    const int64_t mode = 0x00140102;                                                               \
    VMS##mkl##_(&numbers, reinterpret_cast<const float*>(from), reinterpret_cast<float*>(to), &mode); \
  }
#else
struct OneThread {
  ~OneThread() {}
};
#define IN_ARRAYS(name, mkl, of_float, of_double)                                                  \
  INLINE void name(Float* to, const Float* from, int num) {                                        \
    for (int i = 0; i < num; ++i)                                                                  \
      for (int lane = 0; lane < LANES; ++lane) to[i][lane] = of_float(from[i][lane]);              \
  }
#endif
#define FUNCTION(name, mkl, of_float, of_double)                                                   \
  IN_ARRAYS(name, mkl, of_float, of_double)                                                        \
  INLINE void name(Double* to, const Double* from, int num) {                                      \
    for (int i = 0; i < num; ++i)                                                                  \
      for (int lane = 0; lane < LANES; ++lane) to[i][lane] = of_double(from[i][lane]);             \
  }
FUNCTION(square_root, SQRT, __builtin_sqrtf, __builtin_sqrt)
FUNCTION(exponential, EXP, expf, exp)
FUNCTION(logarithm, LN, logf, log)
FUNCTION(sine, SIN, sinf, sin)
FUNCTION(cosine, COS, cosf, cos)
FUNCTION(hyperbolic_tangent, TANH, tanhf, tanh)
FUNCTION(error_function, ERF, erff, erf)
template <class T> INLINE void exponential_minus_1(T* to, const T* from, int num) {  // libtorch lacks MKL's
  for (int i = 0; i < num; ++i)
    for (int lane = 0; lane < LANES; ++lane) to[i][lane] = std::expm1(from[i][lane]);
}
template <class T> INLINE void logarithm_of_1_plus(T* to, const T* from, int num) {
  for (int i = 0; i < num; ++i)
    for (int lane = 0; lane < LANES; ++lane) to[i][lane] = std::log1p(from[i][lane]);
}

template <class T> INLINE T power(T x, double y) {
  T z;
  for (int lane = 0; lane < LANES; ++lane) z[lane] = std::pow(x[lane], static_cast<decltype(+x[0])>(y));
  return z;
}

// As torch's kernels: rounded once where the processor can.
template <class T> INLINE T fused(T x, T y, T z) {
#ifdef __FMA__
  T sum;
  for (int lane = 0; lane < LANES; ++lane) sum[lane] = std::fma(x[lane], y[lane], z[lane]);
  return sum;
#else
  return x * y + z;
#endif
}
// aten/src/ATen/native/Lerp.h
INLINE Float interpolated(Float from, Float to, Float weight) {
  Mask near = absolute(weight) < f(0.5f);
  return fused(choose(near, weight, weight - f(1)), to - from, choose(near, from, to));
}

// Sums of element(0) to element(size - 1) in the order of torch's own kernels: aten/src/ATen/native/cpu/SumKernel.cpp.
// WAYS interleaved sums, each a cascade of four levels, so that rounding doesn't add up.
template <class T, int WAYS, class Element> INLINE void cascade(T (&sums)[WAYS], int64_t size, Element element) {
  constexpr int LEVELS = 4;
  int power = 0;
  while ((int64_t(1) << power) < size) ++power;
  power = power / LEVELS > 4 ? power / LEVELS : 4;
  const int64_t step = int64_t(1) << power;
  T levels[LEVELS][WAYS] = {};
  int64_t i = 0;
  while (i + step <= size) {
    for (int64_t j = 0; j < step; ++j, ++i)
      for (int way = 0; way < WAYS; ++way) levels[0][way] += element(i * WAYS + way);
    for (int level = 1; level < LEVELS; ++level) {
      for (int way = 0; way < WAYS; ++way) {
        levels[level][way] += levels[level - 1][way];
        levels[level - 1][way] = T{};
      }
      if (i & ((step - 1) << (level * power))) break;
    }
  }
  for (; i < size; ++i)
    for (int way = 0; way < WAYS; ++way) levels[0][way] += element(i * WAYS + way);
  for (int way = 0; way < WAYS; ++way) {
    sums[way] = levels[0][way];
    for (int level = 1; level < LEVELS; ++level) sums[way] += levels[level][way];
  }
}
template <class T, class Element> INLINE T sum_in_order(int64_t size, Element element) {
  T sums[1];
  cascade<T, 1>(sums, size, element);
  return sums[0];
}
template <class T, class Element> INLINE T sum_by_four(int64_t size, Element element) {
  T sums[4];
  cascade<T, 4>(sums, size / 4, element);
  for (int64_t i = size / 4 * 4; i < size; ++i) sums[0] += element(i);
  return sums[0] + sums[1] + sums[2] + sums[3];
}
// Of numbers that lie side by side, which torch adds up in vectors of `width`.
template <class T, class Element> INLINE T sum_in_vectors(int64_t width, int64_t size, Element element) {
  if (size < width) return sum_by_four<T>(size, element);
  T total = {};
  for (int64_t i = size / width * width; i < size; ++i) total += element(i);
  for (int64_t place = 0; place < width; ++place)
    total += sum_by_four<T>(size / width, [&](int64_t i) INLINE_LAMBDA { return element(i * width + place); });
  return total;
}

// The runs from `start` on, of which the data have `num`: where they end within a vector, the last one is repeated.
INLINE Float load(const float* from, int64_t start, int64_t num) {
  Float x;
  if (start + LANES <= num) {
    std::memcpy(&x, from + start, sizeof x);
  } else {
    for (int lane = 0; lane < LANES; ++lane) x[lane] = from[start + lane < num ? start + lane : num - 1];
  }
  return x;
}
template <class T, class Number> INLINE void store(Number* to, T x, int64_t start, int64_t num) {
  if (start + LANES <= num) {
    std::memcpy(to + start, &x, sizeof x);
  } else {
    for (int lane = 0; start + lane < num; ++lane) to[start + lane] = x[lane];
  }
}

// Neighbouring vectors of a tensor are read and written together, as they share lines of the cache; those of the next
// group are sent for meanwhile. A group's states lie one after the other, `width` vectors each: its tensors in their
// order, number by number.
constexpr int GROUP = 8;
constexpr int64_t LINE = 64 / sizeof(float);
INLINE void load_group(Float* to, int64_t width, const float* const* tensors, const int64_t* sizes, int num_tensors,
                       int64_t start, int64_t last, int64_t num) {
  for (int tensor = 0; tensor < num_tensors; ++tensor)
    for (int64_t i = 0; i < sizes[tensor]; ++i, ++to) {
      const float* const row = tensors[tensor] + i * num;
      for (int64_t run = start, place = 0; run < last && place < GROUP; run += LANES, ++place)
        to[place * width] = load(row, run, num);
      const int64_t next = start + GROUP * LANES;
      for (int64_t run = next; run < last && run < next + GROUP * LANES; run += LINE) __builtin_prefetch(row + run);
    }
}
INLINE void store_group(const Float* from, int64_t width, float* const* tensors, const int64_t* sizes, int num_tensors,
                        int64_t start, int64_t last, int64_t num) {
  for (int tensor = 0; tensor < num_tensors; ++tensor)
    for (int64_t i = 0; i < sizes[tensor]; ++i, ++from)
      for (int64_t run = start, place = 0; run < last && place < GROUP; run += LANES, ++place)
        store(tensors[tensor] + i * num, from[place * width], run, num);
}

// Of each run its own samples: numbers `begin` to `begin + count` of its order, `width` numbers each.
INLINE void gather(Float* to, const float* data, const int64_t* const* order, int64_t begin, int64_t count, int64_t width) {
  bool alike = true;
  for (int lane = 1; lane < LANES; ++lane) alike &= order[lane] == order[0];
  for (int64_t i = 0; i < count; ++i)
    for (int64_t e = 0; e < width; ++e) {
      if (alike) {
        to[i * width + e] = f(data[order[0][begin + i] * width + e]);
      } else {
        for (int lane = 0; lane < LANES; ++lane)
          to[i * width + e][lane] = data[order[lane][begin + i] * width + e];
      }
    }
}

// What an epoch is given, and where it leaves what it computes. R runs, K steps, N samples, S orders.
struct Training {
  int64_t num_runs, num_steps, num_samples;
  const float* const* state;         // weights, then slots: [numbers, R] each
  float* const* new_state;           // the same after the epoch
  const float *x, *y;                // [N, numbers of a sample]
  const int64_t* orders;             // [S, N]
  const int64_t* order_of_run;       // [R]
  const float* const* coefficients;  // of each step: one number, or [R]
  const int64_t* is_of_run;          // which of the two it is
  double* losses;                    // [K, R]
  double* metrics;                   // [metrics, R], the means over the epoch
};
struct Evaluation {
  int64_t num_runs;
  const float* const* state;  // weights: [numbers, R] each
  const float *x, *y;         // [N, numbers of a sample], the same for all runs
  double* metrics;            // [metrics, R]
};

struct Memory {
  explicit Memory(size_t num)
      : numbers(static_cast<Float*>(::operator new(num * sizeof(Float), std::align_val_t{64}, std::nothrow))) {}
  ~Memory() { ::operator delete(numbers, std::align_val_t{64}); }
  Memory(const Memory&) = delete;
  Float* const numbers;
};
