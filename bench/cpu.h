// bench/cpu.h: which core runs, and how fast.
#ifndef HEED_BENCH_CPU_H_
#define HEED_BENCH_CPU_H_

#include <string>

namespace heed::bench {

// "AMD EPYC", "Cortex-A76 (CPU 4)", "ARM core 0x41:0xd99 (CPU 0)": of the core that runs this
// thread, which on phones is one of several kinds; "unknown" where the system does not say.
std::string CpuName();

// "3.71 GHz measured", by a chain of additions, each of which takes a cycle on every core known;
// and where the system says it, "; stated: up to 2.40 GHz, now 1.80".
std::string Clock();

}  // namespace heed::bench

#endif  // HEED_BENCH_CPU_H_
