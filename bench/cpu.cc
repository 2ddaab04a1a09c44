// bench/cpu.cc
#include "bench/cpu.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "bench/machine.h"

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace heed::bench {
namespace {

// The CPU that runs this thread, as Linux counts.
int CurrentCpu() {
#if defined(__linux__)
  return std::max(0, sched_getcpu());
#else
  return 0;
#endif
}

struct ArmCore {
  unsigned part;
  const char* name;
};
// Arm Limited's (implementer 0x41), as the manuals of the cores give MIDR_EL1.
constexpr ArmCore kArmCores[] = {
    {0xc07, "Cortex-A7"},   {0xc09, "Cortex-A9"},   {0xc0f, "Cortex-A15"},  {0xd03, "Cortex-A53"},
    {0xd04, "Cortex-A35"},  {0xd05, "Cortex-A55"},  {0xd07, "Cortex-A57"},  {0xd08, "Cortex-A72"},
    {0xd09, "Cortex-A73"},  {0xd0a, "Cortex-A75"},  {0xd0b, "Cortex-A76"},  {0xd0c, "Neoverse N1"},
    {0xd0d, "Cortex-A77"},  {0xd40, "Neoverse V1"}, {0xd41, "Cortex-A78"},  {0xd44, "Cortex-X1"},
    {0xd46, "Cortex-A510"}, {0xd47, "Cortex-A710"}, {0xd48, "Cortex-X2"},   {0xd49, "Neoverse N2"},
    {0xd4d, "Cortex-A715"}, {0xd4e, "Cortex-X3"},   {0xd4f, "Neoverse V2"}, {0xd80, "Cortex-A520"},
    {0xd81, "Cortex-A720"}, {0xd82, "Cortex-X4"},
};

std::string ArmName(unsigned implementer, unsigned part) {
  for (const ArmCore& core : kArmCores) {
    if (implementer == 0x41 && core.part == part) return core.name;
  }
  char text[40];
  snprintf(text, sizeof(text), "ARM core 0x%02x:0x%03x", implementer, part);
  return text;
}

// The name of a CPU in /proc/cpuinfo, which has "key : value" lines in paragraphs that begin with
// "processor".
std::string NameInCpuinfo(int cpu) {
  FILE* file = fopen("/proc/cpuinfo", "r");
  if (file == nullptr) return "";
  std::string model;
  unsigned implementer = 0, part = 0;
  int current = 0;
  char line[512];
  while (fgets(line, sizeof(line), file) != nullptr) {
    const std::string text = line;
    const size_t colon = text.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = text.substr(0, text.find_last_not_of(" \t", colon - 1) + 1);
    const size_t begin = std::min(text.find_first_not_of(" \t", colon + 1), text.size());
    const std::string value = text.substr(begin, text.find_last_not_of(" \t\n") + 1 - begin);
    if (key == "processor") current = atoi(value.c_str());
    if (current != cpu) continue;
    const auto number = [&] { return static_cast<unsigned>(strtoul(value.c_str(), nullptr, 0)); };
    if (key == "model name" || key == "uarch") model = value;
    if (key == "CPU implementer") implementer = number();
    if (key == "CPU part") part = number();
  }
  fclose(file);
  if (implementer == 0) return model;
  return ArmName(implementer, part) + " (CPU " + std::to_string(cpu) + ")";
}

// A number of kHz in sysfs; 0 where it is absent.
double Gigahertz(const char* file_name) {
  const std::string path =
      "/sys/devices/system/cpu/cpu" + std::to_string(CurrentCpu()) + "/cpufreq/" + file_name;
  FILE* file = fopen(path.c_str(), "r");
  if (file == nullptr) return 0.0;
  double kilohertz = 0.0;
  if (fscanf(file, "%lf", &kilohertz) != 1) kilohertz = 0.0;
  fclose(file);
  return kilohertz * 1e-6;
}

// The compiler may neither join nor drop these additions.
#define HEED_BENCH_ADD \
  sum += step;         \
  asm volatile("" : "+r"(sum));

void ChainOfAdditions(uint64_t count) {
  size_t sum = count, step = count;
  asm volatile("" : "+r"(step));
  for (uint64_t i = 0; i < count; i += 8) {
    HEED_BENCH_ADD HEED_BENCH_ADD HEED_BENCH_ADD HEED_BENCH_ADD HEED_BENCH_ADD HEED_BENCH_ADD
        HEED_BENCH_ADD HEED_BENCH_ADD
  }
}
#undef HEED_BENCH_ADD

// Cycles per second.
double MeasuredClock() {
  constexpr uint64_t kAdditions = uint64_t{1} << 20;
  double fastest = 0.0;
  for (int i = 0; i < 20; ++i) {
    const double start = Now();
    ChainOfAdditions(kAdditions);
    fastest = std::max(fastest, static_cast<double>(kAdditions) / (Now() - start));
  }
  return fastest;
}

}  // namespace

std::string CpuName() {
  std::string name;
#if defined(__APPLE__)
  char text[128] = "";
  size_t size = sizeof(text);
  if (sysctlbyname("machdep.cpu.brand_string", text, &size, nullptr, 0) == 0) name = text;
#else
  name = NameInCpuinfo(CurrentCpu());
#endif
  return name.empty() ? "unknown" : name;
}

std::string Clock() {
  char text[96];
  const double most = Gigahertz("cpuinfo_max_freq"), now = Gigahertz("scaling_cur_freq");
  const int length = snprintf(text, sizeof(text), "%.2f GHz measured", MeasuredClock() * 1e-9);
  if (most > 0.0 && now > 0.0) {
    snprintf(text + length, sizeof(text) - length, "; stated: up to %.2f GHz, now %.2f", most, now);
  }
  return text;
}

}  // namespace heed::bench
