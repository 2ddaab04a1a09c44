// bench/report.cc
#include "bench/report.h"

#include <algorithm>
#include <cstdio>

#include "bench/cpu.h"
#include "bench/floor.h"
#include "bench/machine.h"

namespace heed::bench {
namespace {

// The ratio to the yardstick of a layer that runs at the core's f32 peak throughout: no float
// kernel gets below.
double RatioAtPeak(const ShapeResult& all) {
  const Result* yardstick = all.Find(kYardstick);
  if (yardstick == nullptr) return 0.0;
  return all.shape.least_flops() / all.fma_peak / yardstick->median();
}

struct Stages {
  double projections, attention, output;  // seconds
};
// Output and query projections are the same product, and a call without keys is these two.
bool StagesOf(const ShapeResult& all, Stages* stages) {
  const Result* whole = all.Find(Role::kHeed, Types());
  const Result* without_keys = all.Find(kWithoutKeys);
  const Result* attention = all.Find(kAttention);
  if (whole == nullptr || without_keys == nullptr || attention == nullptr) return false;
  stages->output = without_keys->median() / 2;
  stages->attention = attention->median();
  stages->projections = std::max(0.0, whole->median() - stages->attention - stages->output);
  return true;
}

std::string Human(double bytes) {
  char text[32];
  const bool mega = bytes >= 1e6;
  snprintf(text, sizeof(text), "%.*f %s", mega ? 1 : 0, bytes / (mega ? 1e6 : 1e3),
           mega ? "MB" : "KB");
  return text;
}

// "3.4e-07" of |y|max for f32, "1.83 %" in the norm for everything else.
std::string ErrorText(const Result& result) {
  char text[32];
  const double error = result.error.of(result.types);
  snprintf(text, sizeof(text), result.types.is_f32() ? "%.1e" : "%.2f %%",
           result.types.is_f32() ? error : 100.0 * error);
  return text;
}

void PrintGoal(const Goal& goal) {
  if (goal.must > 0.0) printf(" %6.2f %6.2f", goal.must, goal.aims);
  if (goal.must == 0.0) printf(" %6s %6s", "", "");
}

// Steps have a table of their own.
bool IsInRatios(const ShapeResult& result) {
  return result.Find(kYardstick) != nullptr && !result.shape.is_step();
}

// One group of contestants: f32, or all other types with their errors and the goals of int8.
void PrintGroup(const std::vector<ShapeResult>& all, bool is_f32) {
  std::vector<std::string> names;
  for (const ShapeResult& result : all) {
    if (!IsInRatios(result)) continue;
    for (const Result& r : result.results) {
      const bool is_new = std::find(names.begin(), names.end(), r.name) == names.end();
      if (r.has_answer() && r.types.is_f32() == is_f32 && is_new) names.push_back(r.name);
    }
  }
  if (names.empty()) return;
  printf("\n%s: median over that of %s's f32 layer%s\n%-15s", is_f32 ? "f32" : "other types",
         kYardstick, is_f32 ? "" : ", error", "");
  for (const std::string& name : names) printf(" %15s", name.c_str());
  if (is_f32) printf(" %8s", "at peak");
  printf(" %6s %6s\n", "must", "aims");
  for (const ShapeResult& result : all) {
    if (!IsInRatios(result)) continue;
    printf("%-15s", result.shape.name.c_str());
    for (const std::string& name : names) {
      const Result* r = result.Find(name);
      if (r == nullptr) {
        printf(" %15s", "");
      } else if (is_f32) {
        printf(" %15.2f", RatioTo(result, *r, kYardstick));
      } else {
        printf(" %6.2f %8s", RatioTo(result, *r, kYardstick), ErrorText(*r).c_str());
      }
    }
    if (is_f32) printf(" %8.2f", RatioAtPeak(result));
    PrintGoal(is_f32 ? result.shape.f32 : result.shape.int8);
    printf("\n");
  }
}

const char* MaskText(Mask mask) {
  switch (mask) {
    case Mask::kNone:
      return "";
    case Mask::kPadding:
      return ", keys padded";
    case Mask::kCausal:
      return ", causal";
    case Mask::kBias:
      return ", a bias of zeros";
    case Mask::kKeep:
      return ", a keep mask of ones";
    case Mask::kPaddingMask:
      return ", a padding mask of zeros";
  }
  return "";
}

void PrintMasks(const std::vector<ShapeResult>& all) {
  bool is_first = true;
  for (const ShapeResult& result : all) {
    if (!result.shape.hides_nothing()) continue;
    if (is_first) printf("\nmasks that hide nothing: median over that of the call without them\n");
    is_first = false;
    printf("%-15s", result.shape.name.c_str());
    for (const Result& r : result.results) {
      if (r.role != Role::kHeed) continue;
      printf(" %s %.2f,", r.name.c_str(), RatioTo(result, r, r.name + kUnmasked));
    }
    printf(" must %.2f\n", UnmaskedMust(result.shape.mask));
  }
}

}  // namespace

double RatioTo(const ShapeResult& all, const Result& result, const std::string& name) {
  const Result* other = all.Find(name);
  return other == nullptr ? 0.0 : result.median() / other->median();
}

Figures FiguresOf(const ShapeResult& all, const Result& result) {
  const double flops = result.role == Role::kRead ? 0.0 : all.shape.flops();
  Figures figures = {{"min_us", result.min() * 1e6},
                     {"median_us", result.median() * 1e6},
                     {"p95_us", result.Percentile(95) * 1e6},
                     {"gflops", flops / result.median() * 1e-9},
                     {"percent_of_peak", 100.0 * flops / result.median() / all.fma_peak},
                     {"peak_gflops", all.fma_peak * 1e-9},
                     {"bytes", static_cast<double>(result.bytes)},
                     {"weights", static_cast<double>(result.types.weights)},
                     {"int8_core", result.types.core == CoreType::kInt8 ? 1.0 : 0.0},
                     {"cached", static_cast<double>(all.shape.cached)},
                     {"error", result.error.of(result.types)},
                     {"ratio", RatioTo(all, result, kYardstick)}};
  if (result.role == Role::kHeed && all.shape.hides_nothing()) {
    figures.push_back({"unmasked_ratio", RatioTo(all, result, result.name + kUnmasked)});
    figures.push_back({"must", UnmaskedMust(all.shape.mask)});
    return figures;
  }
  if (result.role != Role::kHeed) return figures;
  const Goal goal = all.shape.goal(result.types);
  figures.push_back({"must", all.shape.is_cold() ? kColdRowMust : goal.must});
  figures.push_back({"aims", goal.aims});
  figures.push_back({"ratio_at_peak", RatioAtPeak(all)});
  Stages stages;
  if (&result == all.Find(Role::kHeed, Types()) && StagesOf(all, &stages)) {
    figures.push_back({"projections_us", stages.projections * 1e6});
    figures.push_back({"attention_us", stages.attention * 1e6});
    figures.push_back({"output_us", stages.output * 1e6});
  }
  if (all.shape.is_cold()) {
    const Floor floor = FloorOf(all, result.types);
    figures.push_back({"touched_bytes", floor.bytes});
    figures.push_back({"memory_us", floor.memory * 1e6});
    figures.push_back({"arithmetic_us", floor.arithmetic() * 1e6});
    figures.push_back({"projection_rate", floor.projections.rate});
    figures.push_back({"attention_rate", floor.attention.rate});
    figures.push_back({"floor_ratio", result.median() / floor.seconds()});
  }
  return figures;
}

void PrintMachine(const std::vector<std::string>& targets) {
  printf("core: %s, %s\n", CpuName().c_str(), Clock().c_str());
  printf("peers: %s\n", PeerVersions().c_str());
  for (const std::string& target : targets) {
    Rate fma, dot;
    for (int i = 0; i < 20; ++i) {
      const Rate again = FmaLoop(target), dot_again = Int8DotLoop(target);
      if (again.giga() > fma.giga()) fma = again;
      if (dot_again.giga() > dot.giga()) dot = dot_again;
    }
    printf("peak of %s: %.0f GFLOP/s f32", target.c_str(), fma.giga());
    if (dot.operations > 0.0) printf(", %.0f GOP/s int8", dot.giga());
    printf("\n");
  }
  printf("reads of one thread, GB/s:");
  for (const Bandwidth& point : ReadSweep()) {
    const bool mega = point.bytes >= size_t{1} << 20;
    printf(" %zu%s %.0f", point.bytes >> (mega ? 20 : 10), mega ? "M" : "K",
           point.gigabytes_per_second);
  }
  printf("\n");
}

void PrintTable(const ShapeResult& all) {
  const Shape& s = all.shape;
  printf("\n%s: batch %u, length %u, embed_dim %u, heads %u%s", s.name.c_str(), s.batch,
         s.query_len, s.embed_dim, s.num_heads, MaskText(s.mask));
  if (s.is_step()) printf(" (of keys %u), cached keys %u", s.kv_heads(), s.cached);
  printf("; f32 peak %.0f GFLOP/s", all.fma_peak * 1e-9);
  if (all.int8_peak > 0.0) printf(", int8 peak %.0f GOP/s", all.int8_peak * 1e-9);
  printf(" meanwhile\n");
  size_t width = 0;
  for (const Result& r : all.results) width = std::max(width, r.name.size());
  const int name_width = static_cast<int>(width);
  printf("%-*s %10s %10s %10s %8s %6s %9s %8s %8s\n", name_width, "", "min us", "median us",
         "p95 us", "GFLOP/s", "% peak", "bytes", "error",
         s.hides_nothing() ? "/unmasked" : "/oneDNN");
  for (const Result& r : all.results) {
    if (r.role == Role::kStage) continue;
    const double rate = s.flops() / r.median();
    printf("%-*s %10.1f %10.1f %10.1f", name_width, r.name.c_str(), r.min() * 1e6, r.median() * 1e6,
           r.Percentile(95) * 1e6);
    if (r.role == Role::kRead) {
      printf(" %8.1f GB/s\n", static_cast<double>(r.bytes) / r.median() * 1e-9);
      continue;
    }
    printf(" %8.1f %6.1f %9s %8s", rate * 1e-9, 100.0 * rate / all.fma_peak,
           Human(static_cast<double>(r.bytes)).c_str(), ErrorText(r).c_str());
    const double ratio = RatioTo(all, r, s.hides_nothing() ? r.name + kUnmasked : kYardstick);
    if (ratio > 0.0) printf(" %8.2f", ratio);
    printf("\n");
  }
  Stages stages;
  if (StagesOf(all, &stages)) {
    printf("  stages, us: projections of q, k and v %.1f, attention %.1f, output %.1f\n",
           stages.projections * 1e6, stages.attention * 1e6, stages.output * 1e6);
  }
  for (const Types& types : HeedTypes(s)) {
    const Goal goal = s.goal(types);
    if (goal.must == 0.0 || all.Find(Role::kHeed, types) == nullptr) continue;
    printf("  heed%s: must %.2f, aims %.2f\n", types.suffix().c_str(), goal.must, goal.aims);
  }
  if (s.is_cold()) PrintFloors(all);
  if (s.hides_nothing())
    printf("  heed: must %.2f of the same call without the mask\n", UnmaskedMust(s.mask));
  fflush(stdout);
}

void PrintRatios(const std::vector<ShapeResult>& all) {
  PrintGroup(all, true);
  PrintGroup(all, false);
  PrintMasks(all);
  PrintSteps(all);
}

}  // namespace heed::bench
