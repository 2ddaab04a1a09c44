// bench/machine_loops.cc: the loops themselves, once for each Highway target.
#include <cstdint>
#include <cstring>

#include "bench/machine.h"
#include "heed/attention.h"

#ifndef HEED_BENCH_LOOPS_
#define HEED_BENCH_LOOPS_
namespace heed::bench {
// The loops of one target; the first two return how many operations they did.
struct Loops {
  const char* name;
  double (*fma)(float* sink);
  double (*int8_dot)(float* sink);
  void (*read)(const void* data, size_t bytes, float* sink);
};
}  // namespace heed::bench
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/machine_loops.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace heed::bench::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kSteps = 20000;
// Independent chains: at least latency times throughput, and few enough for 16 registers.
constexpr size_t kChains = 12;

template <class V>
HWY_INLINE V Sum(V a, V b, V c, V d) {
  return hn::Add(hn::Add(a, b), hn::Add(c, d));
}

double Fma(float* sink) {
  const hn::ScalableTag<float> d;
  const auto x = hn::Set(d, 0.9999999f), y = hn::Set(d, sink[0]);
  // Chains that begin alike would be made one by the compiler.
  const auto one = hn::Set(d, 1.0f);
  auto a0 = y, a1 = hn::Add(a0, one), a2 = hn::Add(a1, one), a3 = hn::Add(a2, one),
       a4 = hn::Add(a3, one), a5 = hn::Add(a4, one), a6 = hn::Add(a5, one), a7 = hn::Add(a6, one),
       a8 = hn::Add(a7, one), a9 = hn::Add(a8, one), a10 = hn::Add(a9, one),
       a11 = hn::Add(a10, one);
  for (size_t i = 0; i < kSteps; ++i) {
    a0 = hn::MulAdd(a0, x, y);
    a1 = hn::MulAdd(a1, x, y);
    a2 = hn::MulAdd(a2, x, y);
    a3 = hn::MulAdd(a3, x, y);
    a4 = hn::MulAdd(a4, x, y);
    a5 = hn::MulAdd(a5, x, y);
    a6 = hn::MulAdd(a6, x, y);
    a7 = hn::MulAdd(a7, x, y);
    a8 = hn::MulAdd(a8, x, y);
    a9 = hn::MulAdd(a9, x, y);
    a10 = hn::MulAdd(a10, x, y);
    a11 = hn::MulAdd(a11, x, y);
  }
  const auto sum = Sum(Sum(a0, a1, a2, a3), Sum(a4, a5, a6, a7), a8, Sum(a9, a10, a11, y));
  sink[0] = hn::ReduceSum(d, sum) * 0.0f + 1e-9f;
  return 2.0 * kSteps * kChains * static_cast<double>(hn::Lanes(d));
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
double Int8Dot(float* sink) {
  const hn::ScalableTag<int32_t> d;
  const hn::Repartition<uint8_t, decltype(d)> du;
  const hn::Repartition<int8_t, decltype(d)> di;
  const auto x = hn::Set(du, static_cast<uint8_t>(sink[0]));
  const auto y = hn::Set(di, static_cast<int8_t>(sink[0] + 1.0f));
  const auto one = hn::Set(d, 1);
  auto a0 = hn::Zero(d), a1 = hn::Add(a0, one), a2 = hn::Add(a1, one), a3 = hn::Add(a2, one),
       a4 = hn::Add(a3, one), a5 = hn::Add(a4, one), a6 = hn::Add(a5, one), a7 = hn::Add(a6, one),
       a8 = hn::Add(a7, one), a9 = hn::Add(a8, one), a10 = hn::Add(a9, one),
       a11 = hn::Add(a10, one);
  for (size_t i = 0; i < kSteps; ++i) {
    a0 = hn::SumOfMulQuadAccumulate(d, x, y, a0);
    a1 = hn::SumOfMulQuadAccumulate(d, x, y, a1);
    a2 = hn::SumOfMulQuadAccumulate(d, x, y, a2);
    a3 = hn::SumOfMulQuadAccumulate(d, x, y, a3);
    a4 = hn::SumOfMulQuadAccumulate(d, x, y, a4);
    a5 = hn::SumOfMulQuadAccumulate(d, x, y, a5);
    a6 = hn::SumOfMulQuadAccumulate(d, x, y, a6);
    a7 = hn::SumOfMulQuadAccumulate(d, x, y, a7);
    a8 = hn::SumOfMulQuadAccumulate(d, x, y, a8);
    a9 = hn::SumOfMulQuadAccumulate(d, x, y, a9);
    a10 = hn::SumOfMulQuadAccumulate(d, x, y, a10);
    a11 = hn::SumOfMulQuadAccumulate(d, x, y, a11);
  }
  const auto sum = Sum(Sum(a0, a1, a2, a3), Sum(a4, a5, a6, a7), a8, Sum(a9, a10, a11, one));
  sink[1] = static_cast<float>(hn::ReduceSum(d, sum));
  return 8.0 * kSteps * kChains * static_cast<double>(hn::Lanes(d));
}
#else
double Int8Dot(float*) { return 0.0; }
#endif

void Read(const void* data, size_t bytes, float* sink) {
  const hn::CappedTag<uint32_t, 16> d;
  const size_t lanes = hn::Lanes(d), eighth = bytes / 8 / sizeof(uint32_t);
  // Eight streams: on small pages one alone reads memory at two thirds of the speed.
  const auto* p = static_cast<const uint32_t*>(data);
  const auto* q = p + 4 * eighth;
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (size_t i = 0; i < eighth; i += lanes) {
    a = hn::Or(hn::Or(a, hn::Load(d, p + i)), hn::Load(d, q + i));
    b = hn::Or(hn::Or(b, hn::Load(d, p + eighth + i)), hn::Load(d, q + eighth + i));
    c = hn::Or(hn::Or(c, hn::Load(d, p + 2 * eighth + i)), hn::Load(d, q + 2 * eighth + i));
    e = hn::Or(hn::Or(e, hn::Load(d, p + 3 * eighth + i)), hn::Load(d, q + 3 * eighth + i));
  }
  sink[2] = static_cast<float>(hn::GetLane(hn::Or(hn::Or(a, b), hn::Or(c, e))));
}

}  // namespace

extern const Loops kLoops;
const Loops kLoops = {HWY_STR(HWY_NAMESPACE) + 2, Fma, Int8Dot, Read};  // without the prefix "N_"

}  // namespace heed::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::bench {
namespace {

float sink[3] = {1e-9f, 0.0f, 0.0f};  // outlives the loops, so that none is dropped

const Loops* FindLoops(const std::string& target) {
#if defined(HWY_CHOOSE_TARGET_LIST)
  const Loops* const all[] = {HWY_CHOOSE_TARGET_LIST(kLoops)};
#else
  const Loops* const all[] = {&HWY_STATIC_DISPATCH(kLoops)};
#endif
  for (const Loops* loops : all) {
    if (loops != nullptr && target == loops->name) return loops;
  }
  return nullptr;
}

Rate Time(double (*loop)(float*)) {
  const double start = Now();
  const double operations = loop(sink);
  return operations == 0.0 ? Rate() : Rate{operations, Now() - start};
}

}  // namespace

Rate FmaLoop(const std::string& target) {
  const Loops* loops = FindLoops(target);
  return loops == nullptr ? Rate() : Time(loops->fma);
}

Rate Int8DotLoop(const std::string& target) {
  const Loops* loops = FindLoops(target);
  return loops == nullptr ? Rate() : Time(loops->int8_dot);
}

void HoldToAvx2() { hwy::DisableTargets(HWY_AVX2 - 1); }  // better targets are lower bits

void ReadOnce(const void* data, size_t bytes) {
  static const Loops* const loops = FindLoops(TargetName(0));
  loops->read(data, bytes, sink);
}

}  // namespace heed::bench
#endif
